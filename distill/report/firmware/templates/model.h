// {{ source }}, SHA-256
// {{ sha256 }}
#ifndef {{ name | upper }}_MODEL_H_
#define {{ name | upper }}_MODEL_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace {{ name }}_model {

// The .tflite file, aligned as its weights must be.
constexpr std::size_t kModelBytes = {{ content | length }};
extern const unsigned char kModel[kModelBytes];

{% for word, end in (("Input", takes), ("Output", gives)) %}
using {{ word }} = {{ end | type }};
constexpr std::size_t k{{ word }}Size = {{ end | size }};
constexpr int k{{ word }}Shape[] = { {{- end.shape | join(", ") -}} };
{% if end is scaled %}
// An integer represents scale * (integer - zero point).
constexpr float k{{ word }}Scale = {{ end.scale | literal }};
constexpr int k{{ word }}ZeroPoint = {{ end.zero_point }};
{% endif %}

{% endfor %}
{% if takes is scaled %}
// The integer that represents a number best.
inline Input Quantize(float number) {
  const float step = std::round(number / kInputScale) + kInputZeroPoint;
  const float lowest = {{ (takes | bounds).min }}.0f, highest = {{ (takes | bounds).max }}.0f;
  return static_cast<Input>(step < lowest ? lowest : step > highest ? highest : step);
}

{% endif %}
{% if gives is scaled %}
// The number that an output represents.
inline float Dequantize(Output integer) {
  return kOutputScale * static_cast<float>(integer - kOutputZeroPoint);
}

{% endif %}
{% if classes is not none %}
// In the order of the outputs.
constexpr const char* kClassNames[] = {
{% for label in classes %}
    {{ label | string }},
{% endfor %}
};

{% endif %}
}  // namespace {{ name }}_model

#endif  // {{ name | upper }}_MODEL_H_

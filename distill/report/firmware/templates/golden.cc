#include "{{ name }}_golden.h"

namespace {{ name }}_model {

{% for word, rows in (("Input", golden.inputs), ("Output", golden.outputs)) %}
const {{ word }} kGolden{{ word }}s[kGoldenCount][k{{ word }}Size] = {
{% for row in rows %}
    {
{{ row | array }}},
{% endfor %}
};

{% endfor %}
}  // namespace {{ name }}_model

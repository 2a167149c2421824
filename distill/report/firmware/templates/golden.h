// Inputs: {{ golden.drawn }}. Outputs by {{ golden.runtime }}.
#ifndef {{ name | upper }}_GOLDEN_H_
#define {{ name | upper }}_GOLDEN_H_

#include "{{ name }}_model.h"

namespace {{ name }}_model {

constexpr int kGoldenCount = {{ golden.inputs | length }};
// The largest difference of an output that counts as equal.
constexpr double kGoldenTolerance = {{ "%.9g" | format(golden.tolerance) }};
extern const Input kGoldenInputs[kGoldenCount][kInputSize];
extern const Output kGoldenOutputs[kGoldenCount][kOutputSize];

}  // namespace {{ name }}_model

#endif  // {{ name | upper }}_GOLDEN_H_

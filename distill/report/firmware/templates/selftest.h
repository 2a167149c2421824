// Compares what a device computes with the golden outputs. Needs no TFLite Micro.
#ifndef {{ name | upper }}_SELFTEST_H_
#define {{ name | upper }}_SELFTEST_H_

#include "{{ name }}_golden.h"

namespace {{ name }}_model {

// Computes one output; false if it could not. `network` is what `SelfTest` was given.
using RunNetwork = bool (*)(void* network, const Input* input, Output* output);

// Returns how many of the golden inputs have wrong outputs; 0 means that all is well.
inline int SelfTest(RunNetwork run, void* network) {
  static Output output[kOutputSize];
  int wrong = 0;
  for (int example = 0; example < kGoldenCount; ++example) {
    bool right = run(network, kGoldenInputs[example], output);
    for (std::size_t index = 0; right && index < kOutputSize; ++index) {
      const double expected = static_cast<double>(kGoldenOutputs[example][index]);
      const double difference = static_cast<double>(output[index]) - expected;
      // A NaN fails too: all comparisons with it are false.
      right = difference <= kGoldenTolerance && -difference <= kGoldenTolerance;
    }
    wrong += right ? 0 : 1;
  }
  return wrong;
}

}  // namespace {{ name }}_model

#endif  // {{ name | upper }}_SELFTEST_H_

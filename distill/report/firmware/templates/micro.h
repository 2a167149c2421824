// Runs the network with TFLite Micro (https://github.com/tensorflow/tflite-micro).
#ifndef {{ name | upper }}_MICRO_H_
#define {{ name | upper }}_MICRO_H_

#include <cstring>

#include "{{ name }}_selftest.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {{ name }}_model {

// Exactly the ops of the file: others would only take flash.
using Resolver = tflite::MicroMutableOpResolver<{{ adders | length }}>;

inline TfLiteStatus AddOps(Resolver& resolver) {
{% for adder in adders %}
  if (resolver.{{ adder }}() != kTfLiteOk) return kTfLiteError;
{% endfor %}
  return kTfLiteOk;
}

class Network {
 public:
  // `arena` has `bytes` bytes at a multiple of 16 and outlives the network.
  Network(std::uint8_t* arena, std::size_t bytes)
      : interpreter_(tflite::GetModel(kModel), resolver_, arena, bytes) {
    ready_ = AddOps(resolver_) == kTfLiteOk &&
             interpreter_.AllocateTensors() == kTfLiteOk;
  }

  // Whether the arena is large enough and every op is there.
  bool ready() const { return ready_; }

  // The bytes of the arena that the network needs.
  std::size_t arena_used() const { return interpreter_.arena_used_bytes(); }

  // Computes `kOutputSize` outputs of `kInputSize` inputs.
  bool Run(const Input* input, Output* output) {
    if (!ready_) return false;
{% if keeps_state %}
    // Without this, the state of the example before would remain.
    if (interpreter_.Reset() != kTfLiteOk) return false;
{% endif %}
    std::memcpy(interpreter_.input(0)->data.data, input, kInputSize * sizeof(Input));
    if (interpreter_.Invoke() != kTfLiteOk) return false;
    std::memcpy(output, interpreter_.output(0)->data.data,
                kOutputSize * sizeof(Output));
    return true;
  }

  // Returns how many golden inputs have wrong outputs; see `SelfTest`.
  int Test() {
    return SelfTest(
        [](void* network, const Input* input, Output* output) {
          return static_cast<Network*>(network)->Run(input, output);
        },
        this);
  }

 private:
  Resolver resolver_;
  tflite::MicroInterpreter interpreter_;
  bool ready_ = false;
};

}  // namespace {{ name }}_model

#endif  // {{ name | upper }}_MICRO_H_

// {{ source }}, SHA-256
// {{ sha256 }}
#include "{{ name }}_model.h"

namespace {{ name }}_model {

alignas(16) const unsigned char kModel[kModelBytes] = {
{{ content | array }}};

}  // namespace {{ name }}_model

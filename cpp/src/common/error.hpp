#pragma once
#include <stdexcept>

namespace friesian {

// An argument, file or value that cannot be used as given.
struct InvalidInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Bytes that were made under another FeatureSpec than the one in use.
struct SchemaMismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace friesian

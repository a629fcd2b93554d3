#include "row_inputs.hpp"

#include <algorithm>
#include <cstring>

#include "common/bytes.hpp"
#include "common/error.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

ColumnDecoder decoder_of(const RowSchema& schema, const std::vector<RowInputs::Input>& inputs,
                         bool of_user) {
  std::vector<std::uint32_t> columns;
  std::vector<py::str> names;
  for (const auto& [name, users, column] : inputs) {
    if (users != of_user) continue;
    if (column >= schema.columns().size())
      throw InvalidInput("input '" + name + "' is column " + std::to_string(column) + " of " +
                         std::to_string(schema.columns().size()));
    if (std::find(columns.begin(), columns.end(), column) != columns.end())
      throw InvalidInput("input '" + name + "' takes column '" + schema.columns()[column].name +
                         "', which another input takes already; each column can feed one");
    columns.push_back(column);
    names.emplace_back(name);
  }
  return ColumnDecoder(schema, std::move(columns), std::move(names));
}

// The first value, of `bytes` bytes, to the n - 1 places behind it.
void repeat(unsigned char* values, std::size_t bytes, std::size_t n) {
  if (bytes == 4) {
    const auto value = load<std::uint32_t>(values);
    for (std::size_t i = 1; i < n; ++i) store(values + 4 * i, value);
    return;
  }
  for (std::size_t done = 1; done < n; done += std::min(done, n - done))
    std::memcpy(values + done * bytes, values, std::min(done, n - done) * bytes);
}

}  // namespace

RowInputs::RowInputs(const RowSchema& user, const RowSchema& item, const std::vector<Input>& inputs)
    : user_(decoder_of(user, inputs, true)), item_(decoder_of(item, inputs, false)) {}

py::dict RowInputs::build(const RowBatch& user, const RowBatch& items) const {
  if (user.views.size() != 1 || user.views[0].data == nullptr)
    throw InvalidInput("a ranker's inputs need the row of one user, got " +
                       std::to_string(user.count()));
  std::vector<RowView> rows;
  std::vector<std::size_t> positions;
  const std::size_t n = items.count();
  const bool complete = n == items.views.size();
  if (!complete)
    for (std::size_t i = 0; i < items.views.size(); ++i)
      if (items.views[i].data != nullptr) {
        rows.push_back(items.views[i]);
        positions.push_back(i);
      }
  py::dict arrays;
  const auto of_user = user_.add_arrays(n, arrays);
  const auto of_item = item_.add_arrays(n, arrays);
  items.decode(item_.decoder, complete ? std::span(items.views) : std::span(rows), positions,
               of_item);
  if (n == 0) return arrays;
  user.decode(user_.decoder, user.views, {}, of_user);
  for (std::size_t i = 0; i < of_user.size(); ++i)
    repeat(of_user[i], user_.decoder.schema().decoded_bytes(user_.decoder.columns()[i]), n);
  return arrays;
}

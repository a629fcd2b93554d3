#pragma once
#include <pybind11/numpy.h>

#include <string>
#include <tuple>
#include <vector>

#include "decoded_rows.hpp"
#include "row_batch.hpp"

// A ranker's inputs from one user's row and the rows of many items: each input is a column of
// either, and a user's value is repeated for every item.
class RowInputs {
 public:
  // (input name, whether it is the user's, column number), in the ranker's order.
  using Input = std::tuple<std::string, bool, std::uint32_t>;

  RowInputs(const friesian::RowSchema& user, const friesian::RowSchema& item,
            const std::vector<Input>& inputs);

  // Arrays by input name, with one row for each item that is there.
  [[nodiscard]] pybind11::dict build(const RowBatch& user, const RowBatch& items) const;

 private:
  ColumnDecoder user_;
  ColumnDecoder item_;
};

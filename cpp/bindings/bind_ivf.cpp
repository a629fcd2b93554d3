#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "common/bitmap.hpp"
#include "common/error.hpp"
#include "id_list.hpp"
#include "ivf/exact_scan.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/ivf_search.hpp"
#include "ivf/list_pick.hpp"
#include "level.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

using FloatArray = py::array_t<float, py::array::c_style>;
using OffsetArray = py::array_t<std::uint64_t, py::array::c_style>;
using ByteArray = py::array_t<std::uint8_t, py::array::c_style>;
// Larger than any catalogue worth ranking, and small enough to be answered.
constexpr std::int64_t kMostAnswers = std::int64_t{1} << 20;
constexpr std::int64_t kMostCells = std::int64_t{1} << 28;
constexpr std::array<std::string_view, 3> kMetrics{"ip", "cosine", "l2"};

Metric metric_of(const std::string& name) {
  const auto* at = std::find(kMetrics.begin(), kMetrics.end(), name);
  if (at == kMetrics.end())
    throw InvalidInput("metric must be ip, cosine or l2, got '" + name + "'");
  return static_cast<Metric>(at - kMetrics.begin());
}

std::span<const float> floats_in(const FloatArray& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

void write_layout(const std::string& path, const std::string& metric,
                  const std::array<std::uint32_t, 3>& depth, const FloatArray& centroids,
                  const OffsetArray& list_offsets, const FloatArray& codebook,
                  const ByteArray& codes, const FloatArray& vectors, const py::object& ids,
                  bool string_ids) {
  const IdList list = IdList::from_python(ids, string_ids);
  const std::size_t n = string_ids ? list.strings.size() : list.numbers.size();
  const bool matrices =
      centroids.ndim() == 2 && vectors.ndim() == 2 && codes.ndim() == 2 && codebook.ndim() == 3;
  const py::ssize_t pairs = matrices ? (vectors.shape(1) + 1) / 2 : 0;
  const bool shapes_agree = matrices && centroids.shape(1) == vectors.shape(1) && pairs > 0 &&
                            list_offsets.size() == centroids.shape(0) + 1 &&
                            n == static_cast<std::size_t>(vectors.shape(0)) &&
                            codes.shape(0) == vectors.shape(0) && codes.shape(1) == pairs &&
                            codebook.shape(0) == pairs && codebook.shape(1) == 16 &&
                            codebook.shape(2) == 2;
  if (!shapes_agree)
    throw InvalidInput("centroids, list offsets, codes, ids and vectors do not belong together");
  const std::span<const std::uint64_t> begins(list_offsets.data(),
                                              static_cast<std::size_t>(list_offsets.size()));
  if (begins.front() != 0 || begins.back() != n || !std::is_sorted(begins.begin(), begins.end()))
    throw InvalidInput("list offsets must rise from 0 to the number of vectors");
  if (std::any_of(codes.data(), codes.data() + codes.size(),
                  [](std::uint8_t code) { return code > 15; }))
    throw InvalidInput("codes must be below 16");
  const auto size = [](const auto& array) { return static_cast<std::size_t>(array.size()); };
  const IvfParts parts{
      metric_of(metric),
      static_cast<std::size_t>(vectors.shape(1)),
      {depth[0], depth[1], depth[2]},
      floats_in(centroids),
      {list_offsets.data(), size(list_offsets)},
      floats_in(codebook),
      {codes.data(), size(codes)},
      floats_in(vectors),
      list.numbers,
      list.strings,
      string_ids,
  };
  const py::gil_scoped_release nogil;
  write_ivf_layout(path, parts);
}

void number_ids(const IvfLayout& layout, const std::vector<std::uint32_t>& positions,
                std::int64_t* out) {
  for (const std::uint32_t position : positions)
    *out++ = position == kNoPosition ? -1 : layout.id(position);
}

// A flat list, since NumPy's object arrays own references that C++ should not juggle.
py::list string_ids(const IvfLayout& layout, const std::vector<std::uint32_t>& positions) {
  py::list ids(positions.size());
  for (std::size_t i = 0; i < positions.size(); ++i)
    ids[i] = positions[i] == kNoPosition ? py::object(py::none())
                                         : id_text(layout.string_id(positions[i]));
  return ids;
}

void check_queries(const IvfLayout& layout, const py::array& queries) {
  if (!queries.dtype().equal(py::dtype::of<float>()))
    throw InvalidInput("queries must have dtype float32, got " +
                       std::string(py::str(queries.dtype())));
  if (queries.ndim() != 2 || static_cast<std::size_t>(queries.shape(1)) != layout.dim() ||
      (queries.flags() & py::array::c_style) == 0)
    throw InvalidInput("queries must be C-contiguous with shape (n, " +
                       std::to_string(layout.dim()) + "), got shape " +
                       std::string(py::str(queries.attr("shape"))));
}

// The options of a search, checked.
IvfSearchOptions search_options(const IvfLayout& layout, std::int64_t n, std::int64_t k,
                                std::optional<std::int64_t> nprobe, float margin,
                                std::optional<std::int64_t> rerank, std::int64_t threads,
                                const std::optional<std::string>& level, bool filtered) {
  if (k < 1) throw InvalidInput("k must be at least 1, got " + std::to_string(k));
  if (k > kMostAnswers || n * k > kMostCells)
    throw InvalidInput("k is " + std::to_string(k) + " for " + std::to_string(n) +
                       " queries; at most " + std::to_string(kMostAnswers) + " a query and " +
                       std::to_string(kMostCells) + " in all can be answered");
  const IvfDepth& depth = layout.depth();
  const bool near = !nprobe && !filtered && layout.has_margin(static_cast<std::size_t>(k));
  const std::int64_t probes = nprobe.value_or(std::int64_t{near ? depth.most_lists : depth.nprobe});
  if (probes < 1 || probes > static_cast<std::int64_t>(layout.nlist()))
    throw InvalidInput("nprobe must be in [1, " + std::to_string(layout.nlist()) + "], got " +
                       std::to_string(probes));
  if (rerank && *rerank < 1)
    throw InvalidInput("rerank must be at least 1, got " + std::to_string(*rerank));
  if (threads < 1) throw InvalidInput("threads must be at least 1, got " + std::to_string(threads));
  return {.k = static_cast<std::size_t>(k),
          .nprobe = static_cast<std::size_t>(probes),
          .margin = near ? depth.margin : margin,
          .rerank = static_cast<std::size_t>(rerank.value_or(0)),
          .threads = static_cast<std::size_t>(threads),
          .level = resolve_simd_level(level)};
}

// Bits of the rows or lists a filter lets through: `bits` of them in a row of words, for all
// queries or, with two dimensions, one row for each.
const std::uint64_t* bitmap_in(const std::optional<py::array>& bitmap, std::size_t bits,
                               py::ssize_t queries, const char* name) {
  if (!bitmap) return nullptr;
  const auto words = static_cast<py::ssize_t>(bitmap_words(bits));
  const bool fits = bitmap->dtype().equal(py::dtype::of<std::uint64_t>()) &&
                    (bitmap->flags() & py::array::c_style) != 0 && bitmap->ndim() >= 1 &&
                    bitmap->ndim() <= 2 && bitmap->shape(bitmap->ndim() - 1) == words &&
                    (bitmap->ndim() == 1 || bitmap->shape(0) == queries);
  if (!fits)
    throw InvalidInput(std::string(name) + " must be C-contiguous uint64 with " +
                       std::to_string(words) + " words, or that for each query");
  return static_cast<const std::uint64_t*>(bitmap->data());
}

py::tuple search(const IvfLayout& layout, const py::array& queries, std::int64_t k,
                 std::optional<std::int64_t> nprobe, std::optional<std::int64_t> rerank,
                 std::int64_t threads, const std::optional<std::string>& level,
                 const std::optional<py::array>& allowed,
                 const std::optional<py::array>& allowed_lists, const ExactScan* exact,
                 float margin, std::int64_t rank_of) {
  check_queries(layout, queries);
  if (exact != nullptr && !exact->is_of(layout)) throw InvalidInput("exact is of another layout");
  IvfSearchOptions options =
      search_options(layout, queries.shape(0), k, nprobe, margin, rerank, threads, level,
                     allowed.has_value() || allowed_lists.has_value());
  options.allowed = bitmap_in(allowed, layout.size(), queries.shape(0), "allowed");
  if (allowed && allowed->ndim() == 2) options.allowed_stride = bitmap_words(layout.size());
  options.exact = exact;
  options.allowed_lists = bitmap_in(allowed_lists, layout.nlist(), 1, "allowed_lists");
  const auto n = static_cast<std::size_t>(queries.shape(0));
  const std::vector<py::ssize_t> shape{queries.shape(0), static_cast<py::ssize_t>(k)};
  py::array_t<float> scores(shape);
  float* const scores_out = scores.mutable_data();
  py::array_t<std::int64_t> numbers(layout.string_ids() ? std::vector<py::ssize_t>{0} : shape);
  std::int64_t* const numbers_out = numbers.mutable_data();
  const auto* const query_data = static_cast<const float*>(queries.data());
  std::vector<std::uint32_t> positions(n * static_cast<std::size_t>(k));
  if (rank_of < 0) throw InvalidInput("rank_of must not be negative");
  py::array_t<std::uint32_t> ranks(rank_of > 0 ? queries.shape(0) : py::ssize_t{0});
  if (rank_of > 0) {
    options.ranks = ranks.mutable_data();
    options.rank_of = static_cast<std::size_t>(rank_of);
    std::fill_n(options.ranks, n, 0u);
  }
  {
    const py::gil_scoped_release nogil;
    ivf_search(layout, query_data, n, options, positions.data(), scores_out);
    if (!layout.string_ids()) number_ids(layout, positions, numbers_out);
  }
  const py::object ids =
      layout.string_ids() ? py::object(string_ids(layout, positions)) : py::object(numbers);
  if (rank_of > 0) return py::make_tuple(ids, scores, ranks);
  return py::make_tuple(ids, scores);
}

// Which lists each query probes: where a query's end, and the lists of one after the other.
py::tuple probes(const IvfLayout& layout, const py::array& queries, std::int64_t nprobe,
                 float margin, const std::optional<std::string>& level) {
  check_queries(layout, queries);
  const IvfSearchOptions options =
      search_options(layout, queries.shape(0), 1, nprobe, margin, std::nullopt, 1, level, false);
  ProbedLists found;
  {
    const py::gil_scoped_release nogil;
    found = probed_lists(layout, static_cast<const float*>(queries.data()),
                         static_cast<std::size_t>(queries.shape(0)), options);
  }
  return py::make_tuple(
      py::array_t<std::uint64_t>(static_cast<py::ssize_t>(found.ends.size()), found.ends.data()),
      py::array_t<std::uint32_t>(static_cast<py::ssize_t>(found.lists.size()), found.lists.data()));
}

py::object ids_at(const IvfLayout& layout, const py::array& positions) {
  if (!positions.dtype().equal(py::dtype::of<std::uint32_t>()) || positions.ndim() != 1 ||
      (positions.flags() & py::array::c_style) == 0)
    throw InvalidInput("positions must be C-contiguous uint32 of one dimension");
  const auto* const data = static_cast<const std::uint32_t*>(positions.data());
  const std::vector<std::uint32_t> wanted(data, data + positions.size());
  for (const std::uint32_t position : wanted)
    if (position >= layout.size())
      throw InvalidInput("position " + std::to_string(position) + " is not among the " +
                         std::to_string(layout.size()) + " of the index");
  if (layout.string_ids()) return string_ids(layout, wanted);
  py::array_t<std::int64_t> numbers(positions.size());
  number_ids(layout, wanted, numbers.mutable_data());
  return numbers;
}

}  // namespace

void register_ivf(py::module_& module) {
  py::class_<IvfLayout>(module, "IvfLayout")
      .def(py::init([](const std::string& path, bool verify, bool huge_pages) {
             // Verifying reads the whole file. Not a call_guard: pybind11 registers the object
             // under it.
             const py::gil_scoped_release nogil;
             return std::make_unique<IvfLayout>(
                 path, verify, huge_pages ? Residence::huge_pages : Residence::mapped);
           }),
           py::arg("path"), py::arg("verify") = false, py::arg("huge_pages") = false)
      .def("__len__", &IvfLayout::size)
      .def_property_readonly("dim", &IvfLayout::dim)
      .def_property_readonly("nlist", &IvfLayout::nlist)
      .def_property_readonly("depth",
                             [](const IvfLayout& layout) {
                               const IvfDepth& depth = layout.depth();
                               return py::make_tuple(depth.nprobe, depth.rerank, depth.k);
                             })
      .def_property_readonly("margin",
                             [](const IvfLayout& layout) {
                               const IvfDepth& depth = layout.depth();
                               return py::make_tuple(depth.most_lists, depth.margin);
                             })
      .def_property_readonly("largest_norm", &IvfLayout::largest_norm)
      .def_property_readonly("exact_share", &IvfLayout::exact_share)
      .def_property_readonly("string_ids", &IvfLayout::string_ids)
      .def_property_readonly("fingerprint", &IvfLayout::fingerprint)
      .def_property_readonly(
          "metric",
          [](const IvfLayout& layout) {
            return std::string(kMetrics[static_cast<std::size_t>(layout.metric())]);
          })
      .def_property_readonly(
          "list_sizes",
          [](const IvfLayout& layout) {
            py::array_t<std::int64_t> sizes(static_cast<py::ssize_t>(layout.nlist()));
            for (std::size_t i = 0; i < layout.nlist(); ++i)
              sizes.mutable_data()[i] =
                  static_cast<std::int64_t>(layout.list_begin(i + 1) - layout.list_begin(i));
            return sizes;
          })
      .def("probes", &probes, py::arg("queries"), py::arg("nprobe"), py::arg("margin") = 0.0f,
           py::kw_only(), py::arg("level") = py::none())
      .def("ids_at", &ids_at, py::arg("positions"))
      .def("search", &search, py::arg("queries"), py::arg("k"), py::arg("nprobe") = py::none(),
           py::arg("rerank") = py::none(), py::arg("threads") = 1, py::kw_only(),
           py::arg("level") = py::none(), py::arg("allowed") = py::none(),
           py::arg("allowed_lists") = py::none(), py::arg("exact") = py::none(),
           py::arg("margin") = 0.0f, py::arg("rank_of") = 0);
  py::class_<ExactScan>(module, "ExactScan")
      .def(py::init<const IvfLayout&>(), py::arg("layout"), py::keep_alive<1, 2>(),
           py::call_guard<py::gil_scoped_release>());
  module.def("write_ivf_layout", &write_layout, py::arg("path"), py::arg("metric"),
             py::arg("depth"), py::arg("centroids"), py::arg("list_offsets"), py::arg("codebook"),
             py::arg("codes"), py::arg("vectors"), py::arg("ids"), py::arg("string_ids"));
  module.def(
      "store_depth",
      [](const std::string& path, std::uint32_t nprobe, std::uint32_t rerank, std::uint32_t k,
         float exact_share, std::uint32_t most_lists,
         float margin) { store_depth(path, {nprobe, rerank, k, most_lists, margin}, exact_share); },
      py::arg("path"), py::arg("nprobe"), py::arg("rerank"), py::arg("k"),
      py::arg("exact_share") = 0.0f, py::arg("most_lists") = 0, py::arg("margin") = 0.0f,
      py::call_guard<py::gil_scoped_release>());
}

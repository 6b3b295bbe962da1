#include "hdf5_file.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cleave::hdf5 {
namespace {

constexpr std::size_t memory_step = 262'144;      // bytes by which a file in memory grows
constexpr std::size_t longest_attribute = 60'000; // HDF5 keeps an attribute under 64 kB

constexpr std::size_t text_reference_bytes = 16; // what a dataset holds of a text in the heap

Properties properties(hid_t kind) {
  return Properties(checked(H5Pcreate(kind), "make a property list"));
}

/// The lock keeps two programs from writing one file; where the file system knows no locks, go on.
Properties file_access() {
  Properties access = properties(H5P_FILE_ACCESS);
  checked(H5Pset_file_locking(access.get(), true, true), "set file locking");
  checked(H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18),
          "set the version");
  // Rows go straight to the file, each byte written once: nothing waits in memory for the flush.
  checked(H5Pset_sieve_buf_size(access.get(), 0), "set the buffer");
  return access;
}

Properties memory_access() {
  Properties access = file_access();
  checked(H5Pset_fapl_core(access.get(), memory_step, false), "set the driver");
  return access;
}

Space space_of(const Shape& shape) {
  if (shape.empty())
    return Space(checked(H5Screate(H5S_SCALAR), "make a dataspace"));
  return Space(checked(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                       "make a dataspace"));
}

Type text_type(std::size_t length) {
  Type type(checked(H5Tcopy(H5T_C_S1), "make a type"));
  checked(H5Tset_size(type.get(), length), "make a type");
  checked(H5Tset_cset(type.get(), H5T_CSET_UTF8), "make a type");
  return type;
}

std::vector<const char*> pointers_to(std::span<const std::string> texts) {
  std::vector<const char*> pointers;
  pointers.reserve(texts.size());
  for (const std::string& text : texts)
    pointers.push_back(text.c_str());
  return pointers;
}

/// For texts, whose transfer otherwise clears a buffer of 1 MB each time.
Properties text_transfer() {
  Properties transfer = properties(H5P_DATASET_XFER);
  checked(H5Pset_buffer(transfer.get(), 16'384, nullptr, nullptr), "set the buffer");
  return transfer;
}

/// The reason in one line: HDF5 adds buffer addresses and line ends to what the system said.
std::string in_one_line(std::string text) {
  const std::string mark = "error message = '";
  if (const auto begin = text.find(mark); begin != std::string::npos) {
    const auto end = text.find('\'', begin + mark.size());
    return text.substr(begin + mark.size(), end - begin - mark.size());
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string deepest_reason() {
  std::string reason;
  const H5E_walk2_t keep_first = [](unsigned depth, const H5E_error2_t* error, void* text) {
    if (depth == 0 && error->desc != nullptr)
      *static_cast<std::string*>(text) = error->desc;
    return herr_t{0};
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  H5Eclear2(H5E_DEFAULT);
  return reason.empty() ? "HDF5 gives no reason" : in_one_line(reason);
}

/// Length of the UTF-8 sequence at the front of a text; 0 when there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80                     ? 1
                             : first >= 0xC2 && first <= 0xDF ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || length > text.size())
    return 0;
  for (std::size_t i = 1; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xBF)
      return 0;
  // Overlong forms, surrogates and what lies beyond U+10FFFF.
  const bool wrong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
                     (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F);
  return wrong ? 0 : length;
}

} // namespace

Quiet::Quiet() noexcept {
  H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Quiet::~Quiet() {
  H5Eset_auto2(H5E_DEFAULT, print_, data_);
}

hid_t checked(hid_t status, std::string_view doing) {
  if (status < 0)
    throw Failure("cannot " + std::string(doing) + ": " + deepest_reason());
  return status;
}

hsize_t elements(const Shape& shape) noexcept {
  return std::accumulate(shape.begin(), shape.end(), hsize_t{1}, std::multiplies<>());
}

File create_in_memory() {
  const Properties access = memory_access();
  return File(checked(H5Fcreate("new", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), "make a file"));
}

File open_in_memory(std::span<const std::byte> bytes) {
  const Properties access = memory_access();
  std::vector<std::byte> copy(bytes.begin(), bytes.end()); // HDF5 asks for bytes it may write to
  checked(H5Pset_file_image(access.get(), copy.data(), copy.size()), "set the bytes");
  return File(checked(H5Fopen("copy", H5F_ACC_RDWR, access.get()), "open its copy"));
}

std::span<const std::byte> bytes_of(const File& file) {
  flush(file);
  void* place = nullptr;
  checked(H5Fget_vfd_handle(file.get(), H5P_DEFAULT, &place), "find the bytes");
  // The driver's memory grows in steps; the file is what of it is in use.
  const auto size = checked(H5Fget_file_image(file.get(), nullptr, 0), "find the size");
  return {*static_cast<const std::byte* const*>(place), static_cast<std::size_t>(size)};
}

File open_file(const std::filesystem::path& path, bool writable) {
  const Properties access = file_access();
  return File(checked(H5Fopen(path.c_str(), writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access.get()),
                      "open it"));
}

hsize_t size_of(const File& file) {
  hsize_t size = 0;
  checked(H5Fget_filesize(file.get(), &size), "find the size");
  return size;
}

void flush(const File& file) {
  checked(H5Fflush(file.get(), H5F_SCOPE_LOCAL), "write the file");
}

Group create_group(const File& file, const char* name) {
  const Properties creation = properties(H5P_GROUP_CREATE);
  checked(H5Pset_obj_track_times(creation.get(), false), "set the times");
  return Group(checked(H5Gcreate2(file.get(), name, H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                       std::string("create group ") + name));
}

Group open_group(const File& file, const char* name) {
  return Group(checked(H5Gopen2(file.get(), name, H5P_DEFAULT), std::string("open group ") + name));
}

Dataset open_dataset(hid_t parent, const char* name) {
  return Dataset(checked(H5Dopen2(parent, name, H5P_DEFAULT), std::string("open dataset ") + name));
}

bool exists(hid_t parent, const char* name) {
  return checked(H5Lexists(parent, name, H5P_DEFAULT), std::string("look for ") + name) > 0;
}

bool has_attribute(hid_t object, const char* name) {
  return checked(H5Aexists(object, name), std::string("look for attribute ") + name) > 0;
}

Dataset create_dataset(hid_t parent, const char* name, hid_t type, const Shape& shape,
                       const void* fill) {
  const Properties creation = properties(H5P_DATASET_CREATE);
  checked(H5Pset_obj_track_times(creation.get(), false), "set the times");
  checked(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY), "set the allocation");
  checked(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_ALLOC), "set the fill time");
  if (fill != nullptr)
    checked(H5Pset_fill_value(creation.get(), type, fill), "set the fill value");
  const Space space = space_of(shape);
  return Dataset(
      checked(H5Dcreate2(parent, name, type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
              std::string("create dataset ") + name));
}

Dataset create_deflated_dataset(hid_t parent, const char* name, hid_t type, const Shape& shape,
                                const Shape& chunk) {
  const Properties creation = properties(H5P_DATASET_CREATE);
  checked(H5Pset_obj_track_times(creation.get(), false), "set the times");
  checked(H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()),
          "set the chunks");
  checked(H5Pset_shuffle(creation.get()), "set the filters");
  checked(H5Pset_deflate(creation.get(), 6), "set the filters");
  const Space space = space_of(shape);
  return Dataset(
      checked(H5Dcreate2(parent, name, type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
              std::string("create dataset ") + name));
}

void write_chunk(const Dataset& dataset, const Shape& first, std::span<const std::byte> bytes) {
  constexpr std::uint32_t all_filters = 0; // a mask of those to leave out
  checked(H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, all_filters, first.data(), bytes.size(),
                         bytes.data()),
          "write a chunk");
}

Dataset write_strings(hid_t parent, const char* name, std::span<const std::string> texts,
                      const Shape& shape) {
  const Type type = text_type(H5T_VARIABLE);
  Dataset dataset = create_dataset(parent, name, type.get(), shape);
  if (!texts.empty())
    checked(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, text_transfer().get(),
                     pointers_to(texts).data()),
            std::string("write dataset ") + name);
  return dataset;
}

void overwrite_strings(const Dataset& dataset, hsize_t first, std::span<const std::string> texts) {
  const Type type = text_type(H5T_VARIABLE);
  const hsize_t count = texts.size();
  const Space in_memory = space_of({count});
  const Space in_file(checked(H5Dget_space(dataset.get()), "find a dataspace"));
  checked(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, &first, nullptr, &count, nullptr),
          "select rows");
  checked(H5Dwrite(dataset.get(), type.get(), in_memory.get(), in_file.get(), text_transfer().get(),
                   pointers_to(texts).data()),
          "write strings");
}

void write_row(const Dataset& dataset, hsize_t row, hid_t memory_type, const void* data) {
  Shape count = shape_of(dataset);
  count.front() = 1;
  Shape start(count.size(), 0);
  start.front() = row;
  const Space in_memory = space_of(count);
  const Space in_file(checked(H5Dget_space(dataset.get()), "find a dataspace"));
  checked(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                              nullptr),
          "select a row");
  checked(H5Dwrite(dataset.get(), memory_type, in_memory.get(), in_file.get(), H5P_DEFAULT, data),
          "write a row");
}

void write_text_attribute(hid_t object, const char* name, std::string_view text) {
  const std::string bytes = as_utf8(text.substr(0, longest_attribute));
  const Type type = text_type(bytes.size() + 1); // with its NUL
  write_attribute(object, name, type.get(), type.get(), {}, bytes.c_str());
}

void write_attribute(hid_t object, const char* name, hid_t file_type, hid_t memory_type,
                     const Shape& shape, const void* values) {
  const std::string doing = std::string("write attribute ") + name;
  const Space space = space_of(shape);
  const Attribute attribute(
      checked(H5Acreate2(object, name, file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT), doing));
  checked(H5Awrite(attribute.get(), memory_type, values), doing);
}

Dimension::Dimension(Dataset scale, const std::string& name) : scale_(std::move(scale)) {
  write_text_attribute(scale_.get(), "CLASS", "DIMENSION_SCALE");
  write_text_attribute(scale_.get(), "NAME", name);
}

void Dimension::finish() const {
  if (uses_.empty())
    return;
  const auto compound = [](std::size_t size, std::size_t second, hid_t integer) {
    Type type(checked(H5Tcreate(H5T_COMPOUND, size), "make a type"));
    checked(H5Tinsert(type.get(), "dataset", 0, H5T_STD_REF_OBJ), "make a type");
    checked(H5Tinsert(type.get(), "dimension", second, integer), "make a type");
    return type;
  };
  const Type in_memory = compound(sizeof(Use), offsetof(Use, index), H5T_NATIVE_INT);
  const Type in_file = compound(sizeof(hobj_ref_t) + 4, sizeof(hobj_ref_t), H5T_STD_I32LE);
  write_attribute(scale_.get(), "REFERENCE_LIST", in_file.get(), in_memory.get(), {uses_.size()},
                  uses_.data());
}

void describe(const Dataset& dataset, std::span<Dimension* const> dimensions) {
  hobj_ref_t self = 0;
  checked(H5Rcreate(&self, dataset.get(), ".", H5R_OBJECT, -1), "refer to a dataset");
  std::vector<hobj_ref_t> scales(dimensions.size());
  std::vector<hvl_t> list(dimensions.size());
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    checked(H5Rcreate(&scales[i], dimensions[i]->scale_.get(), ".", H5R_OBJECT, -1),
            "refer to a dimension");
    list[i] = {1, &scales[i]};
    dimensions[i]->uses_.push_back({self, static_cast<int>(i)});
  }
  const Type type(checked(H5Tvlen_create(H5T_STD_REF_OBJ), "make a type"));
  write_attribute(dataset.get(), "DIMENSION_LIST", type.get(), type.get(), {list.size()},
                  list.data());
}

std::string read_text_attribute(hid_t object, const char* name) {
  const std::string doing = std::string("read attribute ") + name;
  const Attribute attribute(checked(H5Aopen(object, name, H5P_DEFAULT), doing));
  const Type type(checked(H5Aget_type(attribute.get()), doing));
  const Space space(checked(H5Aget_space(attribute.get()), doing));
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
      H5Sget_simple_extent_npoints(space.get()) != 1)
    throw Failure(std::string("attribute ") + name + " is not a text of fixed length");
  std::string text(H5Tget_size(type.get()), '\0');
  if (text.size() > 65'536)
    throw Failure(std::string("attribute ") + name + " is too long");
  checked(H5Aread(attribute.get(), type.get(), text.data()), doing);
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

Shape shape_of(const Dataset& dataset) {
  const Space space(checked(H5Dget_space(dataset.get()), "find a dataspace"));
  const hid_t rank = checked(H5Sget_simple_extent_ndims(space.get()), "find the dimensions");
  Shape shape(static_cast<std::size_t>(rank));
  checked(H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr), "find the dimensions");
  return shape;
}

void require_shape(const Dataset& dataset, const char* name, const Shape& shape,
                   std::size_t bytes) {
  if (shape_of(dataset) != shape)
    throw Failure(std::string("dataset ") + name + " has a size that does not fit the others");
  if (H5Dget_storage_size(dataset.get()) != elements(shape) * bytes)
    throw Failure(std::string("dataset ") + name + " is not whole");
}

std::vector<std::string> read_strings(hid_t parent, const char* name, const Shape& shape) {
  const Dataset dataset = open_dataset(parent, name);
  require_shape(dataset, name, shape, text_reference_bytes);
  const Type type(checked(H5Dget_type(dataset.get()), "read a type"));
  if (H5Tis_variable_str(type.get()) <= 0)
    throw Failure(std::string("dataset ") + name + " is not of texts");
  const Space space(checked(H5Dget_space(dataset.get()), "find a dataspace"));
  std::vector<char*> pointers(elements(shape), nullptr);
  checked(
      H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, text_transfer().get(), pointers.data()),
      std::string("read dataset ") + name);
  std::vector<std::string> texts;
  for (const char* pointer : pointers)
    texts.emplace_back(pointer != nullptr ? pointer : "");
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, pointers.data());
  return texts;
}

std::vector<std::string> names_in(const Group& group) {
  std::vector<std::string> names;
  const H5L_iterate_t keep = [](hid_t, const char* name, const H5L_info_t*, void* list) {
    static_cast<std::vector<std::string>*>(list)->emplace_back(name);
    return herr_t{0};
  };
  checked(H5Literate(group.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, keep, &names),
          "list a group");
  return names;
}

std::string as_utf8(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    valid += length > 0 ? text.substr(0, length) : "\xEF\xBF\xBD";
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return valid;
}

} // namespace cleave::hdf5

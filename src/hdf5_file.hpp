/// @file
/// HDF5 as this project uses it: owned identifiers, errors as exceptions, datasets whose dimensions
/// are HDF5 dimension scales, and strings that every reader understands. Not thread-safe.
#pragma once

#include "handle.hpp"

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::hdf5 {

template <herr_t (*Close)(hid_t)>
struct IdTraits {
  using Value = hid_t;
  static constexpr hid_t none = -1;
  static void close(hid_t id) noexcept { Close(id); }
};

using File = Handle<IdTraits<H5Fclose>>;
using Group = Handle<IdTraits<H5Gclose>>;
using Dataset = Handle<IdTraits<H5Dclose>>;
using Attribute = Handle<IdTraits<H5Aclose>>;
using Space = Handle<IdTraits<H5Sclose>>;
using Type = Handle<IdTraits<H5Tclose>>;
using Properties = Handle<IdTraits<H5Pclose>>;

/// HDF5 refused; what() says what was tried and the reason from the depth of its error stack.
class Failure : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Keeps HDF5 from printing its error stack; what was set before is set again at the end.
class Quiet {
public:
  Quiet() noexcept;
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet();

private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

/// `status` unless it is negative. @param doing such as "open dataset wall"
/// @throws Failure with the reason from HDF5's error stack
hid_t checked(hid_t status, std::string_view doing);

/// The numbers that files hold: little endian on disk, whatever the machine.
template <class T>
struct Number;
template <>
struct Number<std::uint8_t> {
  static hid_t in_memory() { return H5T_NATIVE_UINT8; }
  static hid_t in_file() { return H5T_STD_U8LE; }
};
template <>
struct Number<std::uint32_t> {
  static hid_t in_memory() { return H5T_NATIVE_UINT32; }
  static hid_t in_file() { return H5T_STD_U32LE; }
};
template <>
struct Number<std::uint64_t> {
  static hid_t in_memory() { return H5T_NATIVE_UINT64; }
  static hid_t in_file() { return H5T_STD_U64LE; }
};
template <>
struct Number<std::int32_t> {
  static hid_t in_memory() { return H5T_NATIVE_INT32; }
  static hid_t in_file() { return H5T_STD_I32LE; }
};
template <>
struct Number<std::int64_t> {
  static hid_t in_memory() { return H5T_NATIVE_INT64; }
  static hid_t in_file() { return H5T_STD_I64LE; }
};
template <>
struct Number<float> {
  static hid_t in_memory() { return H5T_NATIVE_FLOAT; }
  static hid_t in_file() { return H5T_IEEE_F32LE; }
};
template <>
struct Number<double> {
  static hid_t in_memory() { return H5T_NATIVE_DOUBLE; }
  static hid_t in_file() { return H5T_IEEE_F64LE; }
};

/// Lengths of a dataset's dimensions; empty: a scalar.
using Shape = std::vector<hsize_t>;
[[nodiscard]] hsize_t elements(const Shape& shape) noexcept;

/// Creates a file in memory, readable by HDF5 1.8. HDF5 cannot close a file whose bytes the disk
/// does not take, so new files are made in memory and written as a whole.
[[nodiscard]] File create_in_memory();
/// A copy in memory of the file with these bytes, to be altered.
[[nodiscard]] File open_in_memory(std::span<const std::byte> bytes);
/// The bytes of a file in memory as they are now, until it is altered or closed.
[[nodiscard]] std::span<const std::byte> bytes_of(const File& file);
/// Opens a file with the serial driver.
[[nodiscard]] File open_file(const std::filesystem::path& path, bool writable);
/// Bytes of a file, those included that have not been written yet.
[[nodiscard]] hsize_t size_of(const File& file);
/// Hands what was written to the kernel: a kill of this process takes nothing back.
void flush(const File& file);

[[nodiscard]] Group create_group(const File& file, const char* name);
[[nodiscard]] Group open_group(const File& file, const char* name);
[[nodiscard]] Dataset open_dataset(hid_t parent, const char* name);
[[nodiscard]] bool exists(hid_t parent, const char* name);
[[nodiscard]] bool has_attribute(hid_t object, const char* name);

/// Creates a contiguous dataset whose space is on the disk, filled, when this returns.
/// @param fill one value in the file's type; nullptr: zeros
[[nodiscard]] Dataset create_dataset(hid_t parent, const char* name, hid_t type, const Shape& shape,
                                     const void* fill = nullptr);
/// Creates a dataset in chunks that go through the filters shuffle and deflate.
[[nodiscard]] Dataset create_deflated_dataset(hid_t parent, const char* name, hid_t type,
                                              const Shape& shape, const Shape& chunk);
/// Writes a chunk that has been through the dataset's filters already.
/// @param first the index of its first element
void write_chunk(const Dataset& dataset, const Shape& first, std::span<const std::byte> bytes);
/// Creates and writes a dataset of variable-length UTF-8 strings.
Dataset write_strings(hid_t parent, const char* name, std::span<const std::string> texts,
                      const Shape& shape);
/// Overwrites elements [first, first + texts.size()) of a one-dimensional dataset of strings.
void overwrite_strings(const Dataset& dataset, hsize_t first, std::span<const std::string> texts);

/// Writes elements with the first index `row` alone.
/// @param data as many values as the other dimensions have
void write_row(const Dataset& dataset, hsize_t row, hid_t memory_type, const void* data);

/// Creates and writes a whole dataset.
template <class T>
Dataset write_numbers(hid_t parent, const char* name, std::span<const T> values,
                      const Shape& shape) {
  Dataset dataset = create_dataset(parent, name, Number<T>::in_file(), shape);
  if (!values.empty())
    checked(H5Dwrite(dataset.get(), Number<T>::in_memory(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                     values.data()),
            std::string("write dataset ") + name);
  return dataset;
}

/// A fixed-length UTF-8 attribute; bytes that are not UTF-8 become U+FFFD.
void write_text_attribute(hid_t object, const char* name, std::string_view text);
/// An attribute of numbers. @param shape empty: a scalar
void write_attribute(hid_t object, const char* name, hid_t file_type, hid_t memory_type,
                     const Shape& shape, const void* values);
template <class T>
void write_attribute(hid_t object, const char* name, T value) {
  write_attribute(object, name, Number<T>::in_file(), Number<T>::in_memory(), {}, &value);
}

/// A dimension and where it is used.
class Dimension {
public:
  /// Makes a one-dimensional dataset the scale of a dimension of its name.
  Dimension(Dataset scale, const std::string& name);
  /// States in the scale which datasets use it; after the last describe().
  void finish() const;

  [[nodiscard]] const Dataset& scale() const noexcept { return scale_; }

private:
  friend void describe(const Dataset&, std::span<Dimension* const>);
  struct Use {
    hobj_ref_t dataset;
    int index;
  };
  Dataset scale_;
  std::vector<Use> uses_;
};

/// Names a dataset's dimensions (HDF5 Dimension Scale Specification).
/// https://docs.hdfgroup.org/hdf5/v1_14/_h5_d_s__u_g.html
void describe(const Dataset& dataset, std::span<Dimension* const> dimensions);

/// @throws Failure when there is no such attribute or it is of another kind
[[nodiscard]] std::string read_text_attribute(hid_t object, const char* name);
template <class T>
[[nodiscard]] T read_attribute(hid_t object, const char* name) {
  T value{};
  const Attribute attribute(
      checked(H5Aopen(object, name, H5P_DEFAULT), std::string("read attribute ") + name));
  const Space space(checked(H5Aget_space(attribute.get()), "read attribute"));
  if (H5Sget_simple_extent_npoints(space.get()) != 1)
    throw Failure(std::string("attribute ") + name + " is not one number");
  checked(H5Aread(attribute.get(), Number<T>::in_memory(), &value),
          std::string("read attribute ") + name);
  return value;
}

/// The lengths of a dataset's dimensions.
[[nodiscard]] Shape shape_of(const Dataset& dataset);
/// Refuses a dataset of another shape, or whose values the file cannot hold.
/// @param bytes of one value in the file
void require_shape(const Dataset& dataset, const char* name, const Shape& shape, std::size_t bytes);

/// Reads a dataset whole. @throws Failure when its shape is not `shape` or it is not of numbers
template <class T>
[[nodiscard]] std::vector<T> read_numbers(hid_t parent, const char* name, const Shape& shape) {
  const Dataset dataset = open_dataset(parent, name);
  require_shape(dataset, name, shape, sizeof(T));
  const Type type(checked(H5Dget_type(dataset.get()), "read a type"));
  if (H5Tequal(type.get(), Number<T>::in_file()) <= 0)
    throw Failure(std::string("dataset ") + name + " is of another type");
  std::vector<T> values(elements(shape));
  checked(
      H5Dread(dataset.get(), Number<T>::in_memory(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
      std::string("read dataset ") + name);
  return values;
}
/// The same for variable-length strings.
[[nodiscard]] std::vector<std::string> read_strings(hid_t parent, const char* name,
                                                    const Shape& shape);
/// The names of what a group holds, sorted.
[[nodiscard]] std::vector<std::string> names_in(const Group& group);

/// `text` with every byte that is not UTF-8 as U+FFFD.
[[nodiscard]] std::string as_utf8(std::string_view text);

} // namespace cleave::hdf5

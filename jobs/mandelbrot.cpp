// The Mandelbrot set: how many iterations of z -> z^2 + c each pixel's orbit stays near 0, as a
// picture. The plain loop:
//
//   for each pixel c:  z = 0;  for (count = 0; count < limit; ++count) { z = z*z + c;
//     if (abs(z) > 16) break; }
//
// The file to copy for output that does not fit into memory: workers compress bands of rows, the
// root appends them to the files in order.

#include "cleave/data.hpp"
#include "cleave/pool.hpp"
#include "cleave/workload.hpp"
#include "jobs/mandelbrot_band.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace cleave::mandelbrot {
namespace {

/// What the file of counts must be told.
Grid grid_of(const View& view) {
  Grid grid{.name = "count", .x = {}, .y = {}, .band_rows = band_rows(view)};
  for (std::int64_t column = 0; column < view.columns; ++column)
    grid.x.push_back(view.x(column));
  for (std::int64_t row = 0; row < view.rows; ++row)
    grid.y.push_back(view.y(row));
  return grid;
}

/// The files of one repetition, at root. What goes wrong with one is told by publish(), so that
/// the answer is not lost.
class Files {
public:
  Files() = default;
  explicit Files(const Settings& settings) {
    if (!settings.output.empty())
      attempt(png_, [&] { png_.emplace(settings.output, header_of(settings.view)); });
    if (!settings.raw.empty())
      attempt(raw_, [&] { raw_.emplace(settings.raw, grid_of(settings.view)); });
  }

  void append(const Band& band) {
    attempt(png_, [&] {
      if (png_)
        png_->append(std::ssize(band.rows), band.png);
    });
    attempt(raw_, [&] {
      if (raw_)
        raw_->append(band.raw);
    });
  }

  /// Gives the files that are whole their names. @throws Error the first that went wrong
  void publish() {
    attempt(png_, [&] {
      if (png_)
        png_->publish();
    });
    attempt(raw_, [&] {
      if (raw_)
        raw_->publish();
    });
    if (error_)
      throw Error(*error_);
  }

private:
  template <class File, class Write>
  void attempt(std::optional<File>& file, Write write) {
    try {
      write();
    } catch (const Error& error) {
      file.reset();
      if (!error_)
        error_ = error;
    }
  }

  std::optional<PngFile> png_;
  std::optional<GridFile> raw_;
  std::optional<Error> error_;
};

/// The picture. A task is a band of rows, whose bounds depend on the picture alone: so do the bytes
/// of the files.
class Mandelbrot : public Job {
public:
  Mandelbrot(Settings settings, Kernel kernel, int workers)
      : settings_(std::move(settings)), maker_(settings_, kernel), workers_(workers) {}

  [[nodiscard]] std::int64_t tasks() const override {
    return (view().rows + band_rows(view()) - 1) / band_rows(view());
  }
  [[nodiscard]] double work() const override {
    return static_cast<double>(view().columns) * static_cast<double>(view().rows);
  }
  [[nodiscard]] std::string unit() const override { return "pixels"; }
  [[nodiscard]] std::pair<std::string, double> rate() const override { return {"Mpixel/s", 1e-6}; }
  [[nodiscard]] double memory_bytes() const override;

  void run(Pool& pool) override;
  [[nodiscard]] Verdict check() override;
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(rows_));
  }
  [[nodiscard]] Summary summary() const override;
  void write_outputs() override { files_.publish(); }

private:
  [[nodiscard]] const View& view() const noexcept { return settings_.view; }
  [[nodiscard]] double pixel_area() const { return view().step_x * view().step_y; }
  [[nodiscard]] double area() const { return static_cast<double>(inside_) * pixel_area(); }
  [[nodiscard]] std::int64_t batch_in_memory() const;
  [[nodiscard]] std::int64_t batch_tasks() const;
  void take(BandParts&& parts);

  [[nodiscard]] std::string wrong_sample() const;
  [[nodiscard]] std::string asymmetry() const;
  [[nodiscard]] std::string wrong_area() const;
  [[nodiscard]] bool shows_the_area() const;

  Settings settings_;
  BandMaker maker_;
  int workers_;
  Files files_; // root, as all that follows
  std::vector<RowSums> rows_;
  std::vector<Escape> sampled_;
  std::int64_t inside_ = 0;
  std::int64_t iterations_ = 0;
};

constexpr double known_area = 1.50659;
constexpr double batch_bytes = 64e6; // of pixels before they are compressed

/// Bytes of the pixels of one band, and of what they are made from.
double band_bytes(const View& view) {
  constexpr double pixel_bytes = 16; // count, smooth, colours, and both packed
  return static_cast<double>(band_rows(view)) * static_cast<double>(view.columns) * pixel_bytes;
}

std::int64_t Mandelbrot::batch_in_memory() const {
  return static_cast<std::int64_t>(batch_bytes / band_bytes(view()));
}

std::int64_t Mandelbrot::batch_tasks() const {
  return std::max<std::int64_t>(batch_in_memory(), std::int64_t{4} * workers_);
}

/// A batch comes in twice, packed for the way and as results; each worker has a band in hand.
double Mandelbrot::memory_bytes() const {
  return 2 * static_cast<double>(batch_tasks() + workers_) * band_bytes(view()) +
         static_cast<double>(view().rows) * (sizeof(RowSums) + sizeof(double)) +
         static_cast<double>(view().columns) * sizeof(double);
}

void Mandelbrot::run(Pool& pool) {
  rows_.clear();
  sampled_.clear();
  inside_ = iterations_ = 0;
  files_ = {};
  if (pool.is_root())
    files_ = Files(settings_);
  const std::int64_t batch = batch_tasks();
  // Where so many workers need larger batches, other launches would cut them in another way.
  const CallOptions kept{.keep = batch == batch_in_memory()};
  for (std::int64_t first = 0; first < tasks(); first += batch) {
    const auto make = [first, &maker = maker_](std::int64_t i, Worker& worker) {
      return maker.make(first + i, worker);
    };
    for (BandParts& band : pool.map(make, std::min(batch, tasks() - first), kept))
      take(std::move(band));
  }
}

void Mandelbrot::take(BandParts&& parts) {
  Band band;
  std::tie(band.rows, band.samples, band.inside, band.iterations, band.png, band.raw) =
      std::move(parts);
  rows_.insert(rows_.end(), band.rows.begin(), band.rows.end());
  sampled_.insert(sampled_.end(), band.samples.begin(), band.samples.end());
  inside_ += band.inside;
  iterations_ += band.iterations;
  files_.append(band);
}

std::string Mandelbrot::wrong_sample() const {
  constexpr float tolerance = 1e-3F;
  for (std::size_t i = 0; i < sampled_.size(); ++i) {
    const auto& [row, column] = maker_.samples()[i];
    const Escape right = define_pixel(view(), row, column);
    const bool close = std::abs(sampled_[i].smooth - right.smooth) <=
                       tolerance * std::max(1.0F, right.smooth / 1000);
    if (sampled_[i].count != right.count || !close)
      return "the pixel in row " + std::to_string(row) + ", column " + std::to_string(column) +
             " escapes after " + std::to_string(sampled_[i].count) + " iterations (" +
             std::to_string(sampled_[i].smooth) + "), not " + std::to_string(right.count) + " (" +
             std::to_string(right.smooth) + ")";
  }
  return {};
}

/// About the real axis, where the view has its middle: conjugate c have conjugate orbits, exactly.
std::string Mandelbrot::asymmetry() const {
  for (std::size_t i = 0; i < rows_.size() / 2; ++i)
    if (rows_[i].counts != rows_[rows_.size() - 1 - i].counts)
      return "row " + std::to_string(i) + " from the top is not like that from the bottom";
  return {};
}

/// The set lies in [-2, 0.48] x [-1.13, 1.13]; few iterations tell nothing of its area.
bool Mandelbrot::shows_the_area() const {
  const double half_x = view().step_x * static_cast<double>(view().columns) / 2;
  const double half_y = view().step_y * static_cast<double>(view().rows) / 2;
  return view().limit >= 20 && view().centre_x - half_x <= -2 && view().centre_x + half_x >= 0.48 &&
         view().centre_y - half_y <= -1.13 && view().centre_y + half_y >= 1.13;
}

/// T. Foerstemann, Numerical estimation of the area of the Mandelbrot set, 2012: 1.50659. The set's
/// border runs through pixels; and what has not escaped after `limit` iterations is more, measured
/// at limits from 20 to 5000: by 3.5 / limit to 5.1 / limit.
std::string Mandelbrot::wrong_area() const {
  const auto limit = static_cast<double>(view().limit);
  const double expected = known_area + 4.3 / limit;
  const double tolerance = 5 * std::pow(std::max(view().step_x, view().step_y), 1.5) + 1 / limit;
  if (std::abs(area() - expected) <= tolerance)
    return {};
  std::ostringstream text;
  text << "the area " << area() << " is not " << expected << " to " << tolerance;
  return text.str();
}

Verdict Mandelbrot::check() {
  if (std::ssize(rows_) != view().rows || sampled_.size() != maker_.samples().size())
    return {Verify::failed, "the answer has not all rows of the picture"};
  if (const std::string wrong = wrong_sample(); !wrong.empty())
    return {Verify::failed, wrong};
  std::ostringstream how;
  how << sampled_.size() << " pixels equal the definition";
  if (view().centre_y == 0) {
    if (const std::string wrong = asymmetry(); !wrong.empty())
      return {Verify::failed, wrong};
    how << "; symmetric about the real axis";
  }
  if (shows_the_area()) {
    if (const std::string wrong = wrong_area(); !wrong.empty())
      return {Verify::failed, wrong};
    how << "; area " << area() << ", that of the set is " << known_area;
  }
  return {Verify::ok, how.str()};
}

Summary Mandelbrot::summary() const {
  Summary facts{{"inside", inside_}, {"iterations", iterations_}, {"area_inside", area()}};
  if (!settings_.output.empty())
    facts.push_back({"output", settings_.output.string()});
  if (!settings_.raw.empty())
    facts.push_back({"raw", settings_.raw.string()});
  return facts;
}

/// Four numbers with commas between them.
std::optional<std::array<double, 4>> read_corners(const std::string& text) {
  std::array<double, 4> corners{};
  std::istringstream stream(text);
  for (std::size_t i = 0; i < corners.size(); ++i) {
    char comma = ',';
    if (i > 0 && (!(stream >> comma) || comma != ','))
      return std::nullopt;
    if (!(stream >> corners[i]) || !(std::abs(corners[i]) <= 1000))
      return std::nullopt;
  }
  char rest = 0;
  if (stream >> rest || !(corners[0] < corners[2]) || !(corners[1] < corners[3]))
    return std::nullopt;
  return corners;
}

View read_view(const Values& values) {
  View view;
  view.columns = values.integer("columns");
  view.rows = values.integer("rows");
  view.limit = values.integer("limit");
  const auto columns = static_cast<double>(view.columns);
  const auto rows = static_cast<double>(view.rows);
  const std::string text = values.text("corners");
  if (text.empty()) {
    view.centre_x = values.real("centre_x");
    view.centre_y = values.real("centre_y");
    view.step_x = view.step_y = values.real("width") / columns;
  } else if (const auto corners = read_corners(text)) {
    const auto& [left, bottom, right, top] = *corners;
    view.centre_x = (left + right) / 2;
    view.centre_y = (bottom + top) / 2;
    view.step_x = (right - left) / columns;
    view.step_y = (top - bottom) / rows;
  } else {
    throw values.error("corners",
                       "must be LEFT,BOTTOM,RIGHT,TOP, left below right and bottom below "
                       "top, from -1000 to 1000, such as -2,-1.2,0.6,1.2; not \"" +
                           text + "\"");
  }
  return view;
}

/// Refuses what double precision cannot tell apart.
void refuse_too_deep(const Values& values, const View& view) {
  const double half_x = view.step_x * static_cast<double>(view.columns) / 2;
  const double half_y = view.step_y * static_cast<double>(view.rows) / 2;
  const double largest =
      std::max(std::abs(view.centre_x) + half_x, std::abs(view.centre_y) + half_y);
  if (std::min(view.step_x, view.step_y) < 4 * largest * 0x1p-52)
    throw values.error(values.text("corners").empty() ? "width" : "corners",
                       "is too small for so many pixels: double precision cannot tell neighbours "
                       "apart; give a larger window or fewer pixels");
}

void refuse_suffix(const Values& values, const char* parameter, const std::string& suffix) {
  const std::filesystem::path file = values.file(parameter);
  if (!file.empty() && file.extension() != suffix)
    throw values.error(parameter, file.string() + " must end in " + suffix);
}

void refuse_beyond_memory(const Values& values, const Job& job) {
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (job.memory_bytes() > memory / 2)
    throw values.error("columns", "so large a picture needs " +
                                      std::to_string(std::llround(job.memory_bytes() / 1e6)) +
                                      " MB: more than half of this machine's memory (" +
                                      std::to_string(std::llround(memory / 1e6)) +
                                      " MB); give fewer columns, rows or threads");
}

std::unique_ptr<Job> prepare(const Values& values, Pool& pool, Kernel kernel) {
  const Settings settings{.view = read_view(values),
                          .palette = values.text("palette"),
                          .cycle = values.real("cycle"),
                          .output = values.file("output").lexically_normal(),
                          .raw = values.file("raw").lexically_normal()};
  refuse_suffix(values, "output", ".png");
  refuse_suffix(values, "raw", ".h5");
  refuse_too_deep(values, settings.view);
  auto job = std::make_unique<Mandelbrot>(settings, kernel, pool.workers());
  pool.from_root([&] {
    refuse_beyond_memory(values, *job);
    return true;
  });
  return job;
}

Parameter parameter(const char* name, ParameterType type, const char* default_value,
                    const char* unit, double minimum, double maximum, const char* summary) {
  Parameter made;
  made.name = name;
  made.summary = summary;
  made.type = type;
  made.default_value = default_value;
  made.unit = unit;
  made.minimum = minimum;
  made.maximum = maximum;
  return made;
}

std::vector<Parameter> parameters() {
  using enum ParameterType;
  constexpr double none = std::numeric_limits<double>::infinity();
  std::vector<Parameter> all = {
      parameter("columns", integer, "1200", "pixels", 1, 5e8, "width of the picture"),
      parameter("rows", integer, "800", "pixels", 1, 0x1p31 - 1, "height of the picture"),
      parameter("centre_x", real, "-0.75", "", -1000, 1000, "real part of the window's middle"),
      parameter("centre_y", real, "0", "", -1000, 1000, "imaginary part of the window's middle"),
      parameter("width", real, "3.6", "", 1e-15, 1000, "the window's width; its pixels are square"),
      parameter("corners", text, "", "", -none, none,
                "LEFT,BOTTOM,RIGHT,TOP instead of centre and width"),
      parameter("limit", integer, "1000", "iterations", 1, 1e9, "what stays so long is inside"),
      parameter("palette", text, "dusk", "", -none, none, "colours"),
      parameter("cycle", real, "64", "iterations", 1e-3, 1e9,
                "a turn of the palette; 4 times as many are 2 turns"),
      parameter("output", output_file, "", "", -none, none,
                "PNG image to write; --force replaces one; empty: none"),
      parameter("raw", output_file, "", "", -none, none,
                "HDF5 file to write the counts to; --force replaces one; empty: none"),
  };
  for (Parameter& one : all)
    if (one.name == "palette")
      one.choices = Painter::names();
  return all;
}

/// The same window in finer pixels, so that those inside the set keep their share.
std::map<std::string, std::string> grow(const Values& values, double factor) {
  std::map<std::string, std::string> grown;
  for (const char* side : {"columns", "rows"}) {
    const double pixels = std::sqrt(factor) * static_cast<double>(values.integer(side));
    grown[side] = std::to_string(std::llround(pixels));
  }
  return grown;
}

} // namespace

Workload workload_of(Kernel kernel) {
  return {.name = "mandelbrot",
          .summary = "a picture of the Mandelbrot set, of any size",
          .parameters = parameters(),
          .prepare = [kernel](const Values& values,
                              Pool& pool) { return prepare(values, pool, kernel); },
          .grow = grow};
}

} // namespace cleave::mandelbrot

cleave::Workload mandelbrot_workload() {
  return cleave::mandelbrot::workload_of(cleave::mandelbrot::escape_row);
}

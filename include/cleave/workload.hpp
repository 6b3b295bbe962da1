/// @file
/// Workloads: a named CPU-bound computation with typed parameters, and one prepared Job of it.
#pragma once

#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "cleave/timings.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cleave {

class Pool;

/// Type of a parameter's value.
enum class ParameterType : std::uint8_t { integer, integers, real, text, input_file, output_file };

/// The words for a type in lists and messages, such as "whole number". Local, thread-safe.
[[nodiscard]] const char* name(ParameterType type) noexcept;

/// One parameter of a workload: what it means and which values are right.
struct Parameter {
  std::string name;
  std::string summary; ///< one line for `cleave list`
  ParameterType type = ParameterType::text;
  std::string default_value = {}; ///< as the user would write it; meaningless when required
  bool required = false;
  std::string unit = {};                                     ///< empty: none
  double minimum = -std::numeric_limits<double>::infinity(); ///< of numbers
  double maximum = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {}; ///< of text; empty: any
};

/// The values that `parameter` permits: "1 to 1e12", "S, W, A", or empty for any. Local,
/// thread-safe.
[[nodiscard]] std::string range_text(const Parameter& parameter);

/// The validated parameters of one job. Integers may be written 1e6; lists 1e6,2e6. A plain value:
/// reading it is local and thread-safe.
class Values {
public:
  /// Where a parameter's text came from, for messages, and what its paths are relative to.
  struct Given {
    std::string text;
    ErrorPlace place;
    std::filesystem::path base; ///< folder that a relative path starts from; empty: the working one
  };

  Values() = default;
  /// Validates `given` against `parameters` and fills in the defaults.
  /// @throws Error bad_input for an unknown or missing parameter, a wrong type, a value out of
  ///         range or NaN; it names the place and what would be right
  Values(const std::vector<Parameter>& parameters, const std::map<std::string, Given>& given);

  /// The getters throw Error bad_input for a name or type that the workload does not declare.
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view name) const;
  [[nodiscard]] double real(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name) const;
  /// The path as the program must open it; empty when the parameter is empty.
  [[nodiscard]] std::filesystem::path file(std::string_view name) const;
  /// An Error bad_input about this parameter, with the place that it was given at.
  [[nodiscard]] Error error(std::string_view name, const std::string& message) const;
  /// name -> canonical text, in the order of declaration: what is hashed, recorded and printed.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> all() const;
  /// The same with typed values; paths as the user wrote them.
  [[nodiscard]] Summary facts() const;

private:
  struct Item {
    Parameter parameter;
    Given given;
    std::variant<std::int64_t, std::vector<std::int64_t>, double, std::string> value;
  };
  [[nodiscard]] const Item& item(std::string_view name) const;
  std::vector<Item> items_;
};

/// What a check of the answer found.
struct Verdict {
  Verify verify = Verify::not_checked;
  std::string how; ///< one line: what was compared with what
  /// What a failed check means: the answer is wrong, or tasks have failed that are no calls of
  /// ours.
  ErrorKind kind = ErrorKind::wrong_answer;
};

/// What earlier launches have done of a job's work, in seconds since 1970.
struct EarlierWork {
  double begun_utc_s = 0; ///< of their first task
  double last_utc_s = 0;  ///< end of their last one
  std::int64_t tasks = 0; ///< that they have done
};

/// One prepared computation. Every member is called on every rank unless it says "root".
class Job {
public:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;

  /// Number of tasks of one repetition. Local.
  [[nodiscard]] virtual std::int64_t tasks() const = 0;
  /// Leaves of the largest reduction, or of the tasks. Local.
  [[nodiscard]] virtual std::int64_t leaves() const { return tasks(); }
  /// Work of one repetition in unit(), for rates; need not be a count of tasks. Local.
  [[nodiscard]] virtual double work() const { return static_cast<double>(tasks()); }
  [[nodiscard]] virtual std::string unit() const { return "tasks"; }
  /// What a rate is printed in, and the factor that turns work()/s into it ("Mop/s", 1e-6). Local.
  [[nodiscard]] virtual std::pair<std::string, double> rate() const { return {unit() + "/s", 1.0}; }
  /// Bytes that the root will hold at most, inputs and results. Local.
  [[nodiscard]] virtual double memory_bytes() const { return 0; }
  /// One repetition from scratch: earlier results must not be used. Collective.
  virtual void run(Pool& pool) = 0;
  /// Checks the last repetition's answer, independently of how it was computed. Called on root.
  [[nodiscard]] virtual Verdict check() { return {}; }
  /// The answer's bytes, the same at every layout: their XXH3-64 is recorded. Called on root.
  [[nodiscard]] virtual std::span<const std::byte> result() const = 0;
  /// The answer for people and JSON. Called on root.
  [[nodiscard]] virtual Summary summary() const = 0;
  /// How far the computation has come, in a few words for the line of progress: "iteration 7,
  /// inertia 1.2e6". Empty: nothing to say. Called on root, by the thread that is in run(), while
  /// tasks are computed.
  [[nodiscard]] virtual std::string standing() const { return {}; }
  /// The first tasks in words, for --dry-run. Called on root before the first repetition.
  [[nodiscard]] virtual std::vector<std::string> preview() const { return {}; }
  /// How a run that is interrupted can be gone on with; empty: it cannot. Called on root before the
  /// first repetition.
  [[nodiscard]] virtual std::string how_to_resume() const { return {}; }
  /// By rank: the most memory in bytes that a program has held which a task of the last repetition
  /// has started; empty: none has. Called on root.
  [[nodiscard]] virtual std::vector<std::uint64_t> program_memory() const { return {}; }
  /// What the job itself goes on with, without a checkpoint; nothing: it begins anew. Called on
  /// root before the first repetition.
  [[nodiscard]] virtual std::optional<EarlierWork> earlier() const { return std::nullopt; }
  /// Lines for --verbose: who computed what. Called on root.
  [[nodiscard]] virtual std::vector<std::string> details() const { return {}; }
  /// Writes the answer to the workload's own output files (parameters such as `output`). Called on
  /// root once, after the last repetition. @throws Error io
  virtual void write_outputs() {}
  /// Writes the answer to `file` for --result; the default writes summary() as HDF5, JSON or CSV by
  /// suffix. Called on root. @throws Error io, or bad_input for a suffix not known
  virtual void write_result(const std::filesystem::path& file) const;
  /// Refuses a --result name that write_result could not write, before any work. Local.
  virtual void accept_result(const std::filesystem::path& file) const;

  /// Told of text that is neither answer nor message, such as what programs print that the job
  /// runs; `error`: it is meant for standard error.
  using OutputTold = std::function<void(std::string_view text, bool error)>;
  /// Sets who is told, at root.
  void tell_output_to(OutputTold told) { output_told_ = std::move(told); }
  /// Told of what does not end the run.
  using WarningTold = std::function<void(const Error&)>;
  /// Sets who is told, at root.
  void tell_warnings_to(WarningTold told) { warning_told_ = std::move(told); }

protected:
  /// Tells text; of no effect where nobody listens. Root's.
  void tell_output(std::string_view text, bool error) const {
    if (output_told_)
      output_told_(text, error);
  }
  /// Tells a warning; of no effect where nobody listens. Root's.
  void tell_warning(const Error& warning) const {
    if (warning_told_)
      warning_told_(warning);
  }

private:
  OutputTold output_told_;
  WarningTold warning_told_;
};

/// A computation that `cleave run NAME` knows.
struct Workload {
  std::string name;
  std::string summary; ///< one line
  std::vector<Parameter> parameters;
  /// Reads inputs and allocates. Collective; root alone opens files, by Pool::from_root.
  std::function<std::unique_ptr<Job>(const Values&, Pool&)> prepare;
  /// What a process must do before MPI begins in it, such as forking; called once where this
  /// workload is going to be run, or may be. Local. Empty: nothing.
  std::function<void()> before_mpi = {};
  /// Why this build cannot run it, such as a library that was not there: told by lists, and to who
  /// asks for it. Empty: it can.
  std::string unavailable = {};
  /// It keeps what is done in a file of its own, so that a checkpoint is of no use: how to go on,
  /// as
  /// "-p joblog=FILE -p resume=true". Empty: checkpoints keep it.
  std::string resumes_by = {};
  /// The parameters with which a repetition is about `factor` times the work of these, each as the
  /// user would write it: for weak studies, whose figures use the work that was done. Local,
  /// thread-safe; throws Error bad_input where that cannot be. Empty: its size has no such measure.
  std::function<std::map<std::string, std::string>(const Values&, double factor)> grow = {};
  /// The files that it reads where a parameter of type input_file may name several, in their order:
  /// a checkpoint goes on with the same alone. Root; may throw what prepare() would. Empty: those
  /// that its parameters name.
  std::function<std::vector<std::filesystem::path>(const Values&)> inputs = {};
};

/// What tells runs of unlike parameters apart: the checksum of the workload's name and of all
/// parameters, as timings files have it. 16 hexadecimal digits. Local, thread-safe.
[[nodiscard]] std::string config_hash(const std::string& workload, const Values& values);

} // namespace cleave

#include "outputs.hpp"

#include "../new_file.hpp"
#include "../words.hpp"
#include "cleave/provenance.hpp"
#include "cleave/slurm.hpp"
#include "cleave/store.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fstream>
#include <span>
#include <sstream>
#include <vector>

namespace cleave {
namespace {

namespace fs = std::filesystem;

std::int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Whether two names mean one file: through links where both exist, else by their spelling.
bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code failure;
  if (fs::equivalent(a, b, failure))
    return true;
  const fs::path spelled = fs::weakly_canonical(a, failure);
  return !failure && spelled == fs::weakly_canonical(b, failure);
}

// What a run reads, and must not overwrite.
struct Source {
  fs::path file;
  const char* what;
};

std::vector<Source> sources(const Plan& plan, const Workload& workload, const Values& values) {
  std::vector<Source> sources;
  if (!plan.job_file.file.empty())
    sources.push_back({plan.job_file.file, "the job file"});
  for (const Parameter& parameter : workload.parameters)
    if (parameter.type == ParameterType::input_file && !values.file(parameter.name).empty())
      sources.push_back({values.file(parameter.name), "the input"});
  return sources;
}

void refuse_overwriting(const std::vector<Source>& sources, const fs::path& file,
                        const std::string& key) {
  for (const Source& source : sources)
    if (same_file(source.file, file))
      throw Error(ErrorKind::bad_input,
                  std::string("would overwrite ") + source.what + "; give it another name",
                  {file.string(), 0, key});
}

fs::path free_name(const std::string& stem) {
  fs::path file = fs::path("results") / (stem + ".h5");
  for (int i = 2; fs::exists(file); ++i)
    file.replace_filename(stem + "-" + std::to_string(i) + ".h5");
  return file;
}

// The name is the program's, so the mend must say how to give another. A file that another run has
// made under it meanwhile is none of our business: create_store() takes the next name.
void check_default_place(const fs::path& timings) {
  try {
    check_output(fs::exists(timings.parent_path()) ? timings : timings.filename(), true);
  } catch (const Error& error) {
    throw Error(error.kind(), error.message() + ", by -o FILE", error.place());
  }
}

// One of the names and bytes of all files that a workload reads.
std::string checksum_of_files(const Workload& workload, const Values& values) {
  std::string text;
  try {
    for (const fs::path& file : workload.inputs(values))
      text += file_checksum(file) + " " + file.filename().string() + "\n";
  } catch (const std::exception&) {
    return unreadable; // prepare() says why
  }
  return text.find(unreadable) == std::string::npos
             ? hex16(checksum(std::as_bytes(std::span(text))))
             : unreadable;
}

} // namespace

std::string utc_text(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return {text.data(), length};
}

std::string default_stem(const std::string& workload, const Layout& layout, std::int64_t seconds) {
  std::vector<int> ranks_of(layout.nodes().size());
  for (const RankPlace& rank : layout.ranks())
    ++ranks_of[static_cast<std::size_t>(rank.node)];
  const std::string job = slurm_label();
  return workload + "-" + utc_text(seconds) + "-" + std::to_string(layout.nodes().size()) + "x" +
         std::to_string(*std::max_element(ranks_of.begin(), ranks_of.end())) + "x" +
         std::to_string(layout.threads()) + (job.empty() ? "" : "-" + job);
}

fs::path beside(const fs::path& timings, const std::string& suffix) {
  fs::path file = timings;
  return file.replace_extension().concat(suffix);
}

fs::path timings_of(const Plan& plan, const Layout& layout) {
  return plan.timings.empty() ? free_name(default_stem(plan.workload, layout, seconds_since_1970()))
                              : plan.timings;
}

fs::path name_of_attempt(const fs::path& timings, int attempt) {
  fs::path file = timings;
  file.replace_filename(timings.stem().string() + ".attempt" + std::to_string(attempt) +
                        timings.extension().string());
  return file;
}

OutputFiles::OutputFiles(const Plan& plan, const Workload& workload, const Values& values,
                         fs::path timings, int attempt)
    : timings_(std::move(timings)) {
  if (!plan.timings.empty()) {
    if (attempt > 1)
      timings_ = name_of_attempt(timings_, attempt);
    outputs_.push_back({timings_, "-o"});
  } else {
    stem_ = timings_.stem().string();
  }
  if (plan.trace)
    outputs_.push_back({beside(timings_, ".trace.h5"), "--trace"});
  if (!plan.result.empty())
    outputs_.push_back({plan.result, "--result"});
  for (const Parameter& parameter : workload.parameters)
    if (parameter.type == ParameterType::output_file && !values.file(parameter.name).empty())
      outputs_.push_back({values.file(parameter.name), parameter.name});

  if (plan.timings.empty())
    check_default_place(timings_);
  const std::vector<Source> read = sources(plan, workload, values);
  refuse_overwriting(read, beside(timings_, ".progress"), "-o");
  for (const Output& output : outputs_) {
    refuse_naming_twice(output);
    refuse_overwriting(read, output.file, output.key);
    if (output.key == "--trace" && plan.timings.empty())
      continue; // beside the default name, in a folder that may not be there yet
    try {
      check_output(output.file, plan.force || (attempt > 1 && output.file != timings_));
    } catch (const Error& error) {
      throw Error(error.kind(), error.message(), {output.file.string(), 0, output.key});
    }
  }
}

bool OutputFiles::take_next_name() {
  if (stem_.empty() || !fs::exists(timings_))
    return false;
  timings_ = free_name(stem_);
  for (Output& output : outputs_)
    if (output.key == "--trace")
      output.file = beside(timings_, ".trace.h5");
  return true;
}

void OutputFiles::refuse_naming_twice(const Output& output) const {
  for (const Output& other : outputs_) {
    if (&other == &output)
      break;
    if (same_file(other.file, output.file))
      throw Error(ErrorKind::bad_input,
                  "is also what " + other.key + " names; give each its own file",
                  {output.file.string(), 0, output.key});
  }
}

Store create_store(OutputFiles& files, const RunInfo& info, const StoreOptions& options) {
  for (;;) {
    const fs::path& file = files.timings();
    try {
      if (files.has_default_name())
        fs::create_directories(file.parent_path());
      return {file, info, options};
    } catch (const Error& error) {
      if (!files.take_next_name())
        throw Error(ErrorKind::bad_input, error.message(), error.place());
    } catch (const fs::filesystem_error& error) {
      throw Error(ErrorKind::bad_input,
                  "cannot be made: " + error.code().message() +
                      "; give the timings file another place, by -o FILE",
                  {file.parent_path().string(), 0, ""});
    }
  }
}

std::vector<fs::path> OutputFiles::all() const {
  std::vector<fs::path> files{timings_};
  for (const Output& output : outputs_)
    if (output.file != timings_)
      files.push_back(output.file);
  return files;
}

std::string input_checksums(const Workload& workload, const Values& values) {
  std::vector<std::string> inputs;
  bool several = false;
  for (const Parameter& parameter : workload.parameters) {
    if (parameter.type != ParameterType::input_file || values.file(parameter.name).empty())
      continue;
    if (workload.inputs && !fs::is_regular_file(values.file(parameter.name)))
      several = true;
    else
      inputs.push_back(parameter.name + "=" + file_checksum(values.file(parameter.name)));
  }
  if (several)
    inputs.push_back("files=" + checksum_of_files(workload, values));
  return join(inputs, " ");
}

RunInfo run_info(RunInfo launch, const Plan& plan, const Values& values, const Job& job,
                 const std::string& simd, const std::string& inputs) {
  RunInfo info = std::move(launch);
  info.workload = plan.workload;
  info.schedule = plan.schedule.text();
  info.work_unit = job.unit();
  info.work_items = job.work();
  info.tasks = job.tasks();
  std::string parameters;
  for (const auto& [name, text] : values.all())
    parameters.append(name).append(" = ").append(text).append("\n");
  info.config_hash = config_hash(plan.workload, values);

  std::map<std::string, std::string>& facts = info.provenance;
  facts.merge(machine_facts());
  facts["argv"] = join(plan.argv, " ");
  facts["job_file"] = plan.job_file.text;
  facts["cwd"] = fs::current_path().string();
  facts["parameters"] = parameters;
  facts["simd_target"] = simd;
  facts["input_xxh3"] = inputs;
  return info;
}

std::string file_checksum(const fs::path& file) {
  std::error_code failure;
  if (!fs::is_regular_file(file, failure)) // a pipe may never end
    return unreadable;
  std::ifstream stream(file, std::ios::binary);
  const std::string sum = stream.is_open() ? hex16(checksum(stream)) : "";
  return sum.empty() || stream.bad() ? unreadable : sum;
}

ProgressFile::ProgressFile(fs::path file, std::string workload)
    : file_(std::move(file)), workload_(std::move(workload)) {}

ProgressFile::~ProgressFile() {
  std::error_code ignored;
  fs::remove(file_, ignored);
}

void ProgressFile::write(const Progress& progress) noexcept {
  const std::int64_t time = monotonic_ns();
  if (written_ns_ != 0 && time - written_ns_ < 1'000'000'000)
    return;
  written_ns_ = time;
  try {
    std::ostringstream line;
    line << "{\"workload\":\"" << workload_ << "\",\"pid\":" << getpid()
         << ",\"repetition\":" << progress.repetition << ",\"repetitions\":" << progress.repetitions
         << ",\"warm_up\":" << (progress.warm_up ? "true" : "false")
         << ",\"fraction\":" << progress.fraction << ",\"elapsed_s\":" << progress.elapsed_s
         << ",\"left_s\":";
    if (std::isnan(progress.left_s))
      line << "null}\n";
    else
      line << progress.left_s << "}\n";
    const std::string text = line.str();
    NewFile fresh(file_, false);
    fresh.write(std::as_bytes(std::span(text)));
    fresh.replace();
  } catch (const std::exception&) {
    written_ns_ = time; // nobody to tell; the next line may get through
  }
}

} // namespace cleave

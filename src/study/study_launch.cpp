// What starts a point: a launcher's line, or a batch script.
#include "../command/shell_words.hpp"
#include "cleave/launch_batch.hpp"
#include "cleave/study.hpp"
#include "study_points.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace cleave {
namespace {

namespace fs = std::filesystem;

// Rounds that the repetitions of a point are spread over: drift of the machine then meets all
// points alike.
constexpr int rounds = 5;

int next_batch(const Measure& measure, int done) {
  const int fifth = (measure.repetitions + rounds - 1) / rounds;
  return std::clamp(measure.repetitions - done, 1, fifth);
}

std::string seconds(double value) {
  std::array<char, 32> text{};
  return {text.data(),
          std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, 3)
              .ptr};
}

// What is left of the point's budget; "0" means no limit.
std::string budget_left(const Measure& measure, const Point& measured) {
  double left = measure.budget_s;
  for (const Sample& sample : measured.samples)
    left -= sample.wall_s;
  return measure.budget_s > 0 ? seconds(std::max(left, 0.001)) : "0";
}

} // namespace

CommandLine next_launch(const StudyPlan& plan, const StudyOptions& options, std::size_t index,
                        const PointStatus& status) {
  const PlannedPoint& point = plan.points[index];
  const Measure& measure = plan.record.measure;
  const int done = static_cast<int>(status.measured.samples.size());
  std::vector<std::string> arguments = {"run", plan.text.job};
  for (const std::string& parameter : point.overrides)
    arguments.insert(arguments.end(), {"-p", parameter});
  arguments.insert(arguments.end(),
                   {"--threads", std::to_string(point.key.threads), "--schedule",
                    point.key.schedule, "--warmup", std::to_string(measure.warm_ups),
                    "--repetitions", std::to_string(next_batch(measure, done)), "--budget",
                    budget_left(measure, status.measured), "-o",
                    StudyPoints(options.directory).timings(point, status.visits + 1).string(),
                    "--no-checkpoint", "--quiet"});
  if (options.launcher == Launcher::mpirun)
    return launch_line(point.key.ranks, point.key.threads, options.here, options.program, arguments,
                       options.as_root);
  return srun_launch_line(point.key.nodes, point.key.ranks, point.key.threads, point.oversubscribed,
                          options.program, arguments);
}

std::vector<BatchScript> batch_scripts(const StudyPlan& plan, const StudyOptions& options) {
  std::set<int> sizes;
  for (const std::size_t point : options.chosen)
    sizes.insert(plan.points[point].key.nodes);
  const fs::path folder = fs::absolute(options.directory) / "slurm";
  std::vector<BatchScript> scripts;
  for (const int nodes : sizes) {
    const std::string name = "nodes-" + std::to_string(nodes);
    BatchRequest request;
    request.name = plan.record.title + "-" + name;
    request.nodes = nodes;
    request.tasks_per_node = plan.slurm.cores_per_node;
    request.exclusive = true;
    request.output = (folder / (name + ".log")).string();
    // As Ctrl-C: it ends the launch under way, and the repetitions done are kept. Without
    // checkpoints there is nothing that USR1 could save.
    request.signal = "B:TERM@60";
    request.partition = plan.slurm.partition;
    request.account = plan.slurm.account;
    request.time = plan.slurm.time;
    request.options = plan.slurm.lines;
    std::string text = batch_head(request, {}, fs::current_path());
    std::vector<std::string> words = {options.program,
                                      "study",
                                      plan.text.study.file,
                                      "-o",
                                      fs::absolute(options.directory).string(),
                                      "--resume",
                                      "--launcher",
                                      "srun",
                                      "--only",
                                      "nodes=" + std::to_string(nodes)};
    text += "exec " + command::shell_line(words) + "\n";
    scripts.push_back({nodes, folder / (name + ".sh"), text});
  }
  return scripts;
}

} // namespace cleave

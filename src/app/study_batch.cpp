#include "study_batch.hpp"

#include "../command/shell_words.hpp"
#include "../new_file.hpp"
#include "cleave/error.hpp"
#include "cleave/launch_batch.hpp"
#include "output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>

namespace cleave::app {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::string line;
  std::getline(std::ifstream(file), line);
  return line;
}

// Points of this number of nodes that are to be measured yet.
std::size_t open_points(const StudyPlan& plan, const StudyOptions& options,
                        std::span<const PointStatus> points, int nodes) {
  return static_cast<std::size_t>(std::ranges::count_if(options.chosen, [&](std::size_t i) {
    return plan.points[i].key.nodes == nodes && points[i].stopped_by.empty();
  }));
}

} // namespace

int submit_study(const StudyPlan& plan, const StudyOptions& options, bool dry_run) {
  const std::vector<PointStatus> points = study_status(options.directory, plan);
  const auto queued = queued_jobs(options.directory);
  std::string before;
  std::string text;
  for (const BatchScript& script : batch_scripts(plan, options)) {
    const std::size_t open = open_points(plan, options, points, script.nodes);
    const auto there = queued.find(script.nodes);
    if (open == 0 || there != queued.end()) {
      text += fmt::format("{:<11}{} node(s): {}\n", "skipped", script.nodes,
                          open == 0 ? "all points are done" : "queued as job " + there->second);
      continue;
    }
    if (dry_run) {
      text += script.text + "\n" + command::shell_line(sbatch_words(script.file, before)) + "\n\n";
      before = "ID";
      continue;
    }
    fs::create_directories(script.file.parent_path());
    replace_with_text(script.file, script.text);
    before = submit_batch(script.file, before);
    fs::path id = script.file;
    replace_with_text(id.replace_extension(".job"), before + "\n");
    text += fmt::format("{:<11}{}: {} points on {} node(s)\n", "job", before, open, script.nodes);
  }
  say(text);
  return 0;
}

std::map<int, std::string> queued_jobs(const fs::path& directory) {
  std::map<int, std::string> jobs;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory / "slurm", none)) {
    const std::string name = entry.path().filename().string();
    int nodes = 0;
    if (!name.starts_with("nodes-") || !name.ends_with(".job"))
      continue;
    std::from_chars(name.data() + 6, name.data() + name.size(), nodes);
    const std::string id = first_line(entry.path());
    try {
      const CommandAnswer answer =
          ask_command({"squeue", "--noheader", "--format=%i", "--jobs=" + id});
      if (answer.status == 0 && !answer.text.empty())
        jobs[nodes] = id;
    } catch (const Error&) {
      return {}; // no squeue here: nothing is known
    }
  }
  return jobs;
}

} // namespace cleave::app

#include "study_batch.hpp"

#include "../command/shell_words.hpp"
#include "cleave/error.hpp"
#include "output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <sstream>

namespace cleave::app {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// What a command prints, standard error too, and its status.
struct Answer {
  int status = 0;
  std::string text;
};

Answer ask(const std::vector<std::string>& words, const fs::path& heard) {
  std::error_code ignored;
  fs::remove(heard, ignored);
  Launch launch({words, {}}, heard);
  std::optional<int> status;
  while (!(status = launch.wait(1s))) {
  }
  Answer answer{*status, text_of(heard)};
  fs::remove(heard, ignored);
  while (answer.text.ends_with('\n'))
    answer.text.pop_back();
  return answer;
}

std::vector<std::string> sbatch_words(const BatchScript& script, const std::string& after) {
  std::vector<std::string> words = {"sbatch", "--parsable"};
  if (!after.empty())
    words.push_back("--dependency=afterany:" + after);
  words.push_back(script.file.string());
  return words;
}

// "123" of "123;cluster", which --parsable may print.
std::string submit(const BatchScript& script, const std::string& after) {
  fs::path heard = script.file;
  const Answer answer = ask(sbatch_words(script, after), heard.replace_extension(".err"));
  const std::string id = answer.text.substr(answer.text.rfind('\n') + 1);
  if (answer.status != 0 || id.empty() ||
      id.find_first_not_of("0123456789") != std::min(id.find(';'), std::string::npos))
    throw Error(ErrorKind::io, "sbatch refuses it: " + answer.text, {script.file.string(), 0, ""});
  return id.substr(0, id.find(';'));
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
      text += script.text + "\n" +
              command::shell_line(sbatch_words(script, before.empty() ? "" : before)) + "\n\n";
      before = "ID";
      continue;
    }
    fs::create_directories(script.file.parent_path());
    std::ofstream(script.file, std::ios::trunc) << script.text;
    before = submit(script, before);
    fs::path id = script.file;
    std::ofstream(id.replace_extension(".job"), std::ios::trunc) << before << "\n";
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
    std::string id = text_of(entry.path());
    id = id.substr(0, id.find('\n'));
    try {
      fs::path heard = entry.path();
      const Answer answer = ask({"squeue", "--noheader", "--format=%i", "--jobs=" + id},
                                heard.replace_extension(".err"));
      if (answer.status == 0 && !answer.text.empty())
        jobs[nodes] = id;
    } catch (const Error&) {
      return {}; // no squeue here: nothing is known
    }
  }
  return jobs;
}

} // namespace cleave::app

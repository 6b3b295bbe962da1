// The folder of a study: begun once, gone on with by the same study alone.
#include "../new_file.hpp"
#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/provenance.hpp"
#include "cleave/store.hpp"
#include "cleave/study.hpp"
#include "study_file.hpp"
#include "study_points.hpp"

#include <array>
#include <fstream>
#include <sstream>

namespace cleave {
namespace {

namespace fs = std::filesystem;

constexpr const char* study_copy = "study.toml";
constexpr const char* job_copy = "job.toml";

JobText read_copy(const fs::path& file) {
  std::ostringstream text;
  const std::ifstream stream(file, std::ios::binary);
  if (!stream.is_open())
    throw Error(ErrorKind::bad_input, "the study's own copy is missing; begin anew with another -o",
                {file.string(), 0, ""});
  text << stream.rdbuf();
  return {file.string(), text.str()};
}

void require_same(const JobText& copy, const JobText& now, const std::string& ignored) {
  const auto difference = toml_difference(copy, now, ignored);
  if (difference)
    throw Error(ErrorKind::bad_input,
                "is not what the study was begun with: " + *difference + "; restore it from " +
                    copy.file + ", or give the changed study a folder of its own by -o",
                {now.file, 0, ""});
}

// The facts in which two programs or machines that measured one study must not differ. By batch
// jobs, the machine is the cluster's business.
void require_same_program(const RunInfo& info, const fs::path& file, Launcher launcher) {
  const auto facts = machine_facts();
  for (const char* fact : {"build_id", "cpu_model"}) {
    const auto then = info.provenance.find(fact);
    const auto now = facts.find(fact);
    const bool applies = launcher == Launcher::mpirun || std::string_view(fact) == "build_id";
    if (applies && then != info.provenance.end() && now != facts.end() &&
        then->second != now->second)
      throw Error(ErrorKind::not_comparable,
                  std::string("was measured with another ") + fact + ", " +
                      in_quotes(then->second) + "; here it is " + in_quotes(now->second) +
                      "; go on with that one, or begin anew with another -o",
                  {file.string(), 0, ""});
  }
}

} // namespace

void begin_study(const fs::path& directory, const StudyPlan& plan) {
  if (fs::exists(directory / "study.json"))
    throw Error(ErrorKind::bad_input,
                "has a study already; go on with it by --resume, or choose another folder by -o",
                {directory.string(), 0, ""});
  std::error_code failure;
  fs::create_directories(directory / "points", failure);
  if (failure)
    throw Error(ErrorKind::bad_input,
                "cannot be made: " + failure.message() + "; choose another place by -o",
                {directory.string(), 0, ""});
  replace_with_text(directory / study_copy, plan.text.study.text);
  if (!plan.text.job_file.file.empty())
    replace_with_text(directory / job_copy, plan.text.job_file.text);
  write_study_record(directory, plan.record); // last: with it the folder is a study's
}

void check_resumed_study(const fs::path& directory, const StudyPlan& plan, Launcher launcher) {
  const std::optional<StudyRecord> record = read_study_record(directory);
  if (!record)
    throw Error(ErrorKind::bad_input, "has no study to go on with; leave --resume out",
                {directory.string(), 0, ""});
  require_same(read_copy(directory / study_copy), plan.text.study, "slurm");
  if (!plan.text.job_file.file.empty())
    require_same(read_copy(directory / job_copy), plan.text.job_file, "");
  if (record->planned != plan.record.planned)
    throw Error(ErrorKind::bad_input,
                "was begun for " + std::to_string(record->planned.size()) +
                    " points, which are not the " + std::to_string(plan.record.planned.size()) +
                    " points that the file means here: another machine, launcher or version; begin "
                    "anew with another -o",
                {directory.string(), 0, ""});
  StudyPoints points(directory);
  for (const PlannedPoint& point : plan.points) {
    const fs::path first = points.timings(point, 1);
    if (!fs::exists(first) || claim_holder(points.claim(point)))
      continue;
    await_release(first);
    require_same_program(read_timings(first).info, first, launcher);
    return; // all were measured by one, or this would have refused before
  }
}

std::vector<PointStatus> study_status(const fs::path& directory, const StudyPlan& plan) {
  StudyPoints points(directory);
  std::vector<PointStatus> all(plan.points.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    points.look(plan.points[i], plan.record.measure, all[i]);
  return all;
}

} // namespace cleave

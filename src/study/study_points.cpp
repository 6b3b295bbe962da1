#include "study_points.hpp"

#include "../handle.hpp"
#include "cleave/error.hpp"
#include "cleave/store.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

namespace cleave {
namespace {

namespace fs = std::filesystem;

// Of "STEM.7.h5" the 7 and ".h5".
struct FileName {
  int visit = 0;
  std::string suffix;
};

std::optional<FileName> read_name(const std::string& name, const std::string& stem) {
  if (!name.starts_with(stem + "."))
    return std::nullopt;
  FileName found;
  const char* const begin = name.data() + stem.size() + 1;
  const char* const end = name.data() + name.size();
  const auto number = std::from_chars(begin, end, found.visit);
  if (number.ptr == begin || found.visit < 1)
    return std::nullopt;
  found.suffix.assign(number.ptr, end);
  return found;
}

void add(Point& point, const Timings& timings) {
  point.oversubscribed = timings.info.oversubscribed;
  point.work = timings.info.work_items;
  point.work_unit = timings.info.work_unit;
  for (const Repetition& repetition : timings.run) {
    if (repetition.state == RepState::wrong_answer)
      ++point.wrong;
    if (repetition.state != RepState::done)
      continue;
    Sample sample;
    sample.wall_s = repetition.wall_s;
    sample.start_utc_s = repetition.start_utc_s;
    sample.verified = repetition.verify == Verify::ok;
    point.samples.push_back(sample);
  }
}

} // namespace

fs::path StudyPoints::timings(const PlannedPoint& point, int visit) const {
  return folder() / (point.stem + "." + std::to_string(visit) + ".h5");
}

fs::path StudyPoints::log(const PlannedPoint& point, int visit) const {
  return folder() / (point.stem + "." + std::to_string(visit) + ".log");
}

fs::path StudyPoints::claim(const PlannedPoint& point) const {
  return folder() / (point.stem + ".claim");
}

void StudyPoints::look(const PlannedPoint& point, const Measure& measure, PointStatus& status) {
  std::optional<ClaimHolder> holder = claim_holder(claim(point));
  if (holder && !holder->alive && !holder->running)
    holder.reset(); // killed: whoever resumes takes the point over
  if (holder && holder->is_this_process())
    holder.reset(); // nobody else writes
  std::error_code none;
  std::set<fs::path> fresh; // in order: a set
  for (const fs::directory_entry& entry : fs::directory_iterator(folder(), none)) {
    const auto name = read_name(entry.path().filename().string(), point.stem);
    if (!name)
      continue;
    status.visits = std::max(status.visits, name->visit);
    if (name->suffix == ".h5" && !read_.contains(entry.path()))
      fresh.insert(entry.path());
  }
  if (holder)
    fresh.erase(timings(point, status.visits)); // it may be being written
  else
    std::ranges::for_each(fresh, await_release);
  try {
    read_timings(std::vector(fresh.begin(), fresh.end()),
                 [&](const fs::path& file, const Timings& timings) {
                   add(status.measured, timings);
                   status.measured.files.push_back(file);
                   read_.insert(file);
                 });
  } catch (const Error&) {
    if (!holder) // another study may have claimed the point since
      holder = claim_holder(claim(point));
    if (!holder) // else one is being written
      throw;
  }
  status.measured.key = point.key;
  status.stopped_by = stopped_by(status.measured, measure);
  status.why.clear();
  if (holder) {
    status.standing = Standing::running;
    status.why = holder->text();
  } else if (!status.stopped_by.empty()) {
    status.standing = Standing::done;
  } else if (status.visits > 0 && fs::exists(log(point, status.visits), none)) {
    status.standing = Standing::failed;
    status.why = last_words(log(point, status.visits));
  } else {
    status.standing = status.measured.samples.empty() ? Standing::missing : Standing::partly;
  }
}

void StudyPoints::sweep(const PlannedPoint& point) const {
  std::vector<fs::path> left;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder()))
    if (const auto name = read_name(entry.path().filename().string(), point.stem))
      if (name->suffix == ".err" || name->suffix == ".progress" || name->suffix.ends_with(".tmp"))
        left.push_back(entry.path());
  std::error_code ignored;
  for (const fs::path& file : left)
    fs::remove(file, ignored);
}

void await_release(const fs::path& timings) {
  const Descriptor file(open(timings.c_str(), O_RDONLY | O_CLOEXEC));
  for (int i = 0; i < 100 && file; ++i) {
    if (flock(file.get(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
      return; // the lock goes with the descriptor
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

std::string last_words(const fs::path& log) {
  constexpr std::string_view ours = "cleave: error: ";
  std::ifstream stream(log);
  std::string last;
  std::string told;
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(ours))
      told = line.substr(ours.size());
    else if (line.find_first_not_of(" \t-") != std::string::npos)
      last = line;
  }
  return told.empty() ? last : told;
}

} // namespace cleave

// The rounds of a study.
#include "cleave/error.hpp"
#include "cleave/slurm.hpp"
#include "cleave/study.hpp"
#include "study_points.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <random>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// One study under way.
class Rounds {
public:
  Rounds(const StudyPlan& plan, const StudyOptions& options, const StudyObserver& observer)
      : plan_(plan), options_(options), observer_(observer), points_(options.directory),
        visit_s_(plan.points.size(), 0), killed_(plan.points.size(), 0) {
    outcome_.points.resize(plan.points.size());
  }

  StudyOutcome run() {
    take_over();
    for (const std::size_t point : options_.chosen)
      look(point);
    for (const std::size_t point : options_.chosen) // what failed before has another chance
      if (status(point).standing == Standing::failed)
        status(point).standing = Standing::partly;
    for (round_ = 1; one_round(); ++round_) {
    }
    return std::move(outcome_);
  }

private:
  PointStatus& status(std::size_t point) { return outcome_.points[point]; }
  void look(std::size_t point) {
    points_.look(plan_.points[point], plan_.record.measure, status(point));
  }
  [[nodiscard]] bool asked_to_stop() const {
    return interrupted_ || (observer_.stop && observer_.stop());
  }

  // Claims that a killed study has left, as soon as its launch has ended too: two at a time would
  // measure each other.
  void take_over() {
    for (const PlannedPoint& point : plan_.points) {
      const fs::path claim = points_.claim(point);
      bool told = false;
      for (auto holder = claim_holder(claim);
           holder && !holder->alive && holder->running && !asked_to_stop();
           holder = claim_holder(claim)) {
        if (!std::exchange(told, true))
          note("waiting for the launch that " + holder->text() + " has left");
        std::this_thread::sleep_for(100ms);
      }
      drop_stale_claim(claim, points_.record());
      if (const auto ours = Claim::take(claim)) // a point that is done is not visited any more
        points_.sweep(point);
    }
  }

  void note(const std::string& text) const {
    if (observer_.on_note)
      observer_.on_note(text);
  }

  // Points that are to be visited, in this round's order: of the seed and of the visits so far,
  // so that a study that was interrupted does not begin with the same points again.
  [[nodiscard]] std::vector<std::size_t> order() const {
    std::vector<std::size_t> open;
    std::uint64_t visits = 0;
    for (const std::size_t point : options_.chosen) {
      const Standing standing = outcome_.points[point].standing;
      visits += static_cast<std::uint64_t>(outcome_.points[point].visits);
      if (standing != Standing::done && standing != Standing::failed)
        open.push_back(point);
    }
    std::seed_seq seed{plan_.record.measure.seed, visits};
    std::mt19937_64 random(seed);
    for (std::size_t i = open.size(); i > 1; --i) // Fisher and Yates; std::shuffle may differ
      std::swap(open[i - 1], open[random() % i]);
    return open;
  }

  // @return whether another round is needed
  bool one_round() {
    const std::vector<std::size_t> open = order();
    bool visited = false;
    bool too_late = false;
    for (const std::size_t point : open) {
      if (asked_to_stop())
        return end(StudyEnd::stopped);
      if (beyond_budget(point)) {
        too_late = true;
        continue; // a shorter one may fit
      }
      visited = visit(point) || visited;
      if (asked_to_stop() && status(point).standing != Standing::done)
        return end(StudyEnd::stopped);
    }
    if (visited)
      return true;
    const bool finished = std::ranges::none_of(open, [this](std::size_t point) {
      return status(point).standing != Standing::done && status(point).standing != Standing::failed;
    });
    return end(finished   ? StudyEnd::complete
               : too_late ? StudyEnd::budget
                          : StudyEnd::claimed_by_others);
  }

  bool end(StudyEnd how) {
    outcome_.end = how;
    return false;
  }

  // @return whether there was a launch
  bool visit(std::size_t point) {
    const PlannedPoint& planned = plan_.points[point];
    std::optional<Claim> claim = Claim::take(points_.claim(planned));
    if (!claim) {
      look(point);
      return false;
    }
    look(point); // another study may have measured it meanwhile
    if (!status(point).stopped_by.empty())
      return false;
    points_.sweep(planned);
    const std::size_t before = status(point).measured.samples.size();
    const int number = status(point).visits + 1;
    tell(point, true);
    const Ended ended = launch(point, number, *claim);
    look(point); // before another study may launch the next one
    claim.reset();
    if (!asked_to_stop() && !ended.for_another &&
        (ended.status != 0 || status(point).measured.samples.size() == before))
      fail(point, number, ended.status);
    tell(point, false);
    return true;
  }

  struct Ended {
    int status = 0;
    bool for_another = false; // perhaps: another round visits the point again
  };

  Ended launch(std::size_t point, int number, const Claim& claim) {
    const fs::path heard = points_.log(plan_.points[point], number).replace_extension(".err");
    const auto begin = Clock::now();
    Launch launch(next_launch(plan_, options_, point, status(point)), heard);
    claim.add(launch.pid());
    bool told = false;
    std::optional<int> ended;
    while (!(ended = launch.wait(500ms)))
      if (asked_to_stop() && !std::exchange(told, true))
        launch.terminate();
    visit_s_[point] = std::max(visit_s_[point], seconds_since(begin));
    std::error_code ignored;
    interrupted_ = *ended == exit_status(ErrorKind::interrupted) || !claim.is_ours();
    const bool for_another = !asked_to_stop() && killed_for_another(point, *ended);
    if (*ended == 0 || told || interrupted_ || for_another)
      fs::remove(heard, ignored);
    else
      fs::rename(heard, points_.log(plan_.points[point], number), ignored);
    fs::remove(points_.timings(plan_.points[point], number).replace_extension(".progress"),
               ignored);
    return {*ended, for_another};
  }

  // A node that was cut off and comes back has Slurm kill, by its number, the step that an earlier
  // attempt of the job had there: a launch of this attempt may have that number.
  bool killed_for_another(std::size_t point, int status_of_launch) {
    constexpr int most = 2; // then it is killed for a reason of its own, such as its memory
    if (options_.launcher != Launcher::srun || slurm_attempt() == 1 ||
        status_of_launch != 128 + SIGKILL || ++killed_[point] > most)
      return false;
    note("a launch of " + plan_.points[point].stem +
         " was killed, perhaps in the place of one of "
         "an earlier attempt of this Slurm job: it is measured again");
    return true;
  }

  void fail(std::size_t point, int number, int status_of_launch) {
    status(point).standing = Standing::failed;
    const std::string words = last_words(points_.log(plan_.points[point], number));
    status(point).why = "exit status " + std::to_string(status_of_launch) +
                        (words.empty() ? std::string() : ": " + words);
  }

  // By the longest visit to this point, or what its repetitions so far let expect.
  [[nodiscard]] double expected_s(std::size_t point) const {
    if (visit_s_[point] > 0)
      return visit_s_[point];
    const PointStatus& status = outcome_.points[point];
    double longest = 0;
    for (const Sample& sample : status.measured.samples)
      longest = std::max(longest, sample.wall_s);
    return longest * (plan_.record.measure.warm_ups + 1);
  }

  [[nodiscard]] bool beyond_budget(std::size_t point) const {
    return options_.budget_s > 0 && seconds_since(begin_) + expected_s(point) > options_.budget_s;
  }

  // All that the rules permit, at the pace of the visits so far.
  [[nodiscard]] double left_s() const {
    const Measure& measure = plan_.record.measure;
    double known = 0;
    int visited = 0;
    for (const double time : visit_s_) {
      known += time;
      visited += time > 0 ? 1 : 0;
    }
    if (visited == 0)
      return not_measured;
    double left = 0;
    const int batch = (measure.repetitions + 4) / 5;
    for (const std::size_t point : options_.chosen) {
      const PointStatus& status = outcome_.points[point];
      if (status.standing == Standing::done || status.standing == Standing::failed)
        continue;
      const double visit = visit_s_[point] > 0 ? visit_s_[point] : known / visited;
      double spent = 0;
      for (const Sample& sample : status.measured.samples)
        spent += sample.wall_s;
      const double missing =
          measure.repetitions - static_cast<double>(status.measured.samples.size());
      const double most = std::ceil(missing / batch) * visit;
      left += measure.budget_s > 0 ? std::min(most, measure.budget_s - spent + visit) : most;
    }
    return options_.budget_s > 0 ? std::min(left, options_.budget_s - seconds_since(begin_)) : left;
  }

  void tell(std::size_t point, bool begins) {
    if (!observer_.on_visit)
      return;
    StudyVisit visit;
    visit.point = point;
    visit.status = &status(point);
    visit.round = round_;
    visit.wanted = options_.chosen.size();
    visit.done =
        static_cast<std::size_t>(std::ranges::count_if(options_.chosen, [this](std::size_t one) {
          return status(one).standing == Standing::done;
        }));
    visit.left_s = left_s();
    visit.begins = begins;
    observer_.on_visit(visit);
  }

  const StudyPlan& plan_;
  const StudyOptions& options_;
  const StudyObserver& observer_;
  StudyPoints points_;
  StudyOutcome outcome_;
  std::vector<double> visit_s_; // by point, of this process: the longest visit
  std::vector<int> killed_;     // by point, of this process: launches that were killed
  Clock::time_point begin_ = Clock::now();
  int round_ = 1;
  // The last launch was, and not by us: the job's end is near, say; or a later attempt of the job
  // has taken over.
  bool interrupted_ = false;
};

} // namespace

StudyOutcome run_study(const StudyPlan& plan, const StudyOptions& options,
                       const StudyObserver& observer) {
  return Rounds(plan, options, observer).run();
}

} // namespace cleave

#include "cleave/run.hpp"

#include "../machine.hpp"
#include "attempt.hpp"
#include "cleave/checkpoint.hpp"
#include "cleave/pool.hpp"
#include "cleave/simd.hpp"
#include "cleave/store.hpp"
#include "outputs.hpp"
#include "report.hpp"

#include <algorithm>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;

enum class Next : std::int32_t { go_on, budget_spent, wrong_answer };

// One run on one rank. Members marked root are used there alone.
class Runner {
public:
  Runner(const Comm& comm, const Plan& plan, const Workload& workload, const Observer& observer)
      : comm_(comm), plan_(plan), workload_(workload), observer_(observer),
        values_(workload.parameters, plan.parameters), simd_(agree_on_simd(comm, plan.simd)),
        pool_(comm, options(comm)) {}

  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() {
    if (checkpoint_)
      checkpoint_->end(); // it asks us whether to stop
  }

  RunReport run() {
    find_checkpoint();
    pool_.from_root([&] {
      files_ = OutputFiles(plan_, workload_, values_, timings_, attempt());
      return true;
    });
    job_ = workload_.prepare(values_, pool_);
    job_->tell_output_to(observer_.on_output);
    job_->tell_warnings_to(observer_.on_warning);
    try {
      pool_.from_root([&] { return accept(); });
      if (!plan_.dry_run)
        begin_checkpoint();
      pool_.from_root([&] { return start(); });
      if (plan_.dry_run) {
        report_.dry_run = true;
        return std::move(report_);
      }
      repeat();
    } catch (...) {
      forget_empty_file();
      throw;
    }
    if (plan_.trace)
      trace_ = pool_.take_trace();
    report_.status = pool_.from_root([&] { return finish(); });
    if (checkpoint_ && report_.status == 0)
      checkpoint_->remove();
    return std::move(report_);
  }

private:
  [[nodiscard]] static std::string agree_on_simd(const Comm& comm, const std::string& limit) {
    try {
      return agree_on_target(comm, limit);
    } catch (const Error& error) {
      throw Error(error.kind(), error.message(), {"", 0, "--simd"});
    }
  }

  [[nodiscard]] PoolOptions options(const Comm& comm) {
    PoolOptions options;
    options.threads = plan_.threads;
    options.schedule = plan_.schedule;
    options.seed = plan_.seed;
    options.trace = plan_.trace;
    options.comm = comm.options();
    options.timeout = std::chrono::duration<double>(plan_.task_timeout_s);
    options.on_stuck = observer_.on_stuck;
    options.on_progress = [this](double fraction) {
      tell_progress(fraction);
      stop_if_asked();
    };
    return options;
  }

  // Looks whether there is something to go on with; writes nothing yet.
  void find_checkpoint() {
    if (pool_.is_root()) {
      timings_ = timings_of(plan_, pool_.layout());
      if (!plan_.dry_run)
        inputs_ = input_checksums(workload_, values_);
    }
    if (!plan_.checkpoints || plan_.dry_run)
      return;
    CheckpointOptions options = checkpoint_options(plan_, comm_.broadcast(timings_.string()));
    options.on_trouble = [warn = observer_.on_warning](const Error& trouble) {
      if (warn) // Observer::on_kept may hold the checkpoint for longer than the run lasts
        warn({trouble.kind(), trouble.message() + "; the run goes on without a checkpoint",
              trouble.place()});
    };
    options.stop = [this] { return (observer_.stop && observer_.stop()) || !time_is_left(); };
    if (pool_.is_root()) {
      options.facts = facts_of_answer(plan_, workload_, values_, simd_, inputs_);
      options.about = about_attempt(pool_.layout());
    }
    checkpoint_ = std::make_shared<Checkpoint>(comm_, std::move(options));
  }

  [[nodiscard]] int attempt() const { return checkpoint_ ? checkpoint_->attempt() : 1; }

  // Every rank, when nothing can be refused any more.
  void begin_checkpoint() {
    if (!checkpoint_)
      return;
    first_ = first_repetition(comm_, plan_, *checkpoint_);
    checkpoint_->start_at(first_);
    try {
      checkpoint_->begin();
    } catch (const Error& error) { // before any work: for the user to mend
      throw Error(ErrorKind::bad_input, error.message(), error.place());
    }
    pool_.keep_in(checkpoint_.get());
    kept_.save = [checkpoint = checkpoint_] {
      checkpoint->flush(false);
      return !checkpoint->trouble();
    };
    tell_checkpoint();
    tell_kept();
  }

  void tell_checkpoint() {
    if (checkpoint_->active())
      kept_.resume = how_to_resume(*checkpoint_);
  }

  // Root. A run that is going to take long keeps what it has, even if nobody asked for it.
  void keep_if_long() {
    if (!checkpoint_ || checkpoint_->active() || checkpoint_->trouble() ||
        !will_take_long(current_))
      return;
    checkpoint_->activate();
    tell_checkpoint();
    tell_kept();
  }

  // Root: the job is prepared; the last refusals.
  bool accept() {
    if (!plan_.result.empty())
      job_->accept_result(plan_.result);
    return true;
  }

  // Root. The attempt has been claimed: where it ends in between, the next one has another number,
  // and does not meet a timings file of its own name.
  bool start() {
    if (!plan_.dry_run)
      open_store(); // which settles the names of files
    report_.start = {
        pool_.layout(),       plan_.workload,
        values_.facts(),      plan_.schedule.text(),
        job_->tasks(),        job_->leaves(),
        job_->memory_bytes(), pool_.data_path(),
        files_.all(),         plan_.dry_run ? job_->preview() : std::vector<std::string>()};
    report_.rate_unit = job_->rate().first;
    if (observer_.on_start)
      observer_.on_start(report_.start);
    return true;
  }

  // No work has begun: whatever is wrong with the file's place is for the user to mend.
  void open_store() {
    report_.timings.info = run_info(pool_.timings().info, plan_, values_, *job_, simd_, inputs_);
    if (checkpoint_)
      report_.timings.info.provenance.merge(attempt_facts(*checkpoint_));
    else if (const auto earlier = job_->earlier())
      report_.timings.info.provenance.merge(attempt_facts(*earlier));
    store_ =
        create_store(files_, report_.timings.info, {plan_.repetitions, plan_.warm_ups, replaces()});
    const fs::path& file = files_.timings();
    report_.timings_file = file;
    kept_.timings = file;
    kept_.resume = job_->how_to_resume();
    if (checkpoint_)
      tell_checkpoint();
    kept_.progress = beside(file, ".progress");
    progress_.emplace(kept_.progress, plan_.workload);
    tell_kept();
  }

  // Root: a default name is always a new one.
  [[nodiscard]] bool replaces() const { return plan_.force && !files_.has_default_name(); }

  void repeat() {
    began_ns_ = monotonic_ns();
    Next next = Next::go_on;
    for (int i = first_; i < plan_.warm_ups && next != Next::wrong_answer; ++i)
      next = repetition(i, true);
    if (next == Next::wrong_answer)
      return;
    next = Next::go_on; // a budget spent on warm-ups still leaves one measurement
    for (int i = std::max(first_ - plan_.warm_ups, 0); i < plan_.repetitions && next == Next::go_on;
         ++i)
      next = repetition(i, false);
  }

  Next repetition(int index, bool warm_up) {
    current_.repetition = warm_up ? index : plan_.warm_ups + index;
    current_.fraction = 0;
    current_.repetitions = plan_.warm_ups + plan_.repetitions;
    current_.warm_up = warm_up;
    tell_progress(0);
    Repetition measured = pool_.measure([this] { compute(); });
    const Next next = pool_.from_root([&] { return record(std::move(measured), index, warm_up); });
    if (checkpoint_ && current_.repetition + 1 < current_.repetitions)
      checkpoint_->forget();
    return next;
  }

  // What stops the run between two tasks comes back as their failure.
  void compute() {
    try {
      job_->run(pool_);
    } catch (const MapError& error) {
      if (!was_stopped(error))
        throw;
      throw kept_.interruption();
    }
    if (stopped_) // the job may have coped with it
      throw kept_.interruption();
  }

  // This rank knows it, or another one has noticed it first.
  [[nodiscard]] bool was_stopped(const MapError& error) const {
    return stopped_ || (checkpoint_ && checkpoint_->stopping()) ||
           std::ranges::any_of(error.failures(), [](const TaskFailure& failure) {
             return failure.what == asked_to_stop;
           });
  }

  // Root.
  void stop_if_asked() {
    stopped_ = stopped_ || (observer_.stop && observer_.stop()) || !time_is_left();
    if (stopped_)
      throw kept_.interruption();
  }

  // Whether the next task can be ended before this process is ended from outside.
  [[nodiscard]] bool time_is_left() const {
    constexpr double to_write_s = 10;
    const double task_s = std::chrono::duration<double>(pool_.longest_task()).count();
    return !observer_.seconds_left || !(observer_.seconds_left() < to_write_s + 2 * task_s);
  }

  // Root: checks the answer, commits the repetition and decides for all whether to go on.
  Next record(Repetition measured, int index, bool warm_up) {
    check(measured, index, warm_up);
    add_memory(measured);
    commit(measured, index, warm_up);
    if (checkpoint_ && measured.state != RepState::wrong_answer)
      checkpoint_->complete(current_.repetition, measured.checksum);
    if (observer_.on_repetition)
      observer_.on_repetition(measured, index, warm_up);
    (warm_up ? report_.timings.warm_up : report_.timings.run).push_back(std::move(measured));
    if (report_.verdict.verify == Verify::failed) {
      report_.stopped_by = "wrong answer";
      return Next::wrong_answer;
    }
    if (plan_.budget_s > 0 && elapsed_s() >= plan_.budget_s) {
      report_.stopped_by = "budget";
      return Next::budget_spent;
    }
    report_.stopped_by = "repetitions";
    if (current_.repetition + 1 < current_.repetitions)
      stop_if_asked();
    return Next::go_on;
  }

  void check(Repetition& measured, int index, bool warm_up) {
    report_.verdict = job_->check();
    measured.checksum = checksum(job_->result());
    const bool first = report_.timings.warm_up.empty() && report_.timings.run.empty();
    if (first)
      report_.checksum = checkpoint_ ? known_checksum(*checkpoint_).value_or(measured.checksum)
                                     : measured.checksum;
    if (measured.checksum != report_.checksum && report_.verdict.verify != Verify::failed)
      report_.verdict = {Verify::failed, std::string(warm_up ? "warm-up " : "repetition ") +
                                             std::to_string(index + 1) +
                                             " gave other bytes than the first"};
    measured.verify = report_.verdict.verify;
    const bool wrong = measured.verify == Verify::failed;
    if (wrong)
      measured.state = RepState::wrong_answer;
    if (wrong)
      measured.wall_s = not_measured;
  }

  // What root has held meanwhile, and what the tasks' programs have.
  void add_memory(Repetition& measured) const {
    measured.ranks.front().peak_memory_bytes = peak_memory_bytes();
    const std::vector<std::uint64_t> programs = job_->program_memory();
    for (std::size_t rank = 0; rank < std::min(programs.size(), measured.ranks.size()); ++rank)
      measured.ranks[rank].program_memory_bytes = programs[rank];
  }

  // A disk that fills up must not cost the answer: it is reported when the work is done.
  void commit(const Repetition& measured, int index, bool warm_up) {
    if (!store_)
      return;
    try {
      if (warm_up)
        store_->commit_warm_up(index, measured);
      else
        store_->commit(index, measured);
      ++committed_;
      kept_.repetitions += warm_up ? 0 : 1;
      tell_kept();
    } catch (const Error& error) {
      report_.errors.push_back(error);
      store_.reset();
    }
  }

  void tell_kept() const {
    if (observer_.on_kept)
      observer_.on_kept(kept_);
  }

  // Root: the answer, its figures and its files. Returns the exit status for all ranks.
  int finish() {
    progress_.reset();
    miss_timings();
    store_.reset();
    report_.result = job_->summary();
    report_.details = job_->details();
    if (report_.verdict.verify == Verify::failed) {
      report_.errors.insert(
          report_.errors.begin(),
          Error(report_.verdict.kind, report_.verdict.kind == ErrorKind::wrong_answer
                                          ? "the answer is wrong: " + report_.verdict.how
                                          : report_.verdict.how));
    } else {
      summarise(report_, job_->work() * job_->rate().second);
      write_outputs();
    }
    for (const fs::path& file : files_.all())
      if (fs::exists(file))
        report_.files.push_back(file);
    return report_.errors.empty() ? 0 : exit_status(report_.errors.front().kind());
  }

  // A file that somebody has removed under way is written to its end, and then gone: nothing fails.
  void miss_timings() {
    if (store_ && !fs::exists(files_.timings()))
      report_.errors.emplace_back(ErrorKind::io,
                                  "was removed, or its folder, while the run wrote it",
                                  ErrorPlace{files_.timings().string(), 0, ""});
  }

  void write_outputs() {
    if (checkpoint_ && checkpoint_->superseded()) {
      report_.errors.emplace_back(ErrorKind::lost_peer,
                                  "a later launch goes on with this run; it writes the answer");
      return;
    }
    attempt_to([&] { job_->write_outputs(); });
    if (!plan_.result.empty())
      attempt_to([&] { job_->write_result(plan_.result); });
    if (plan_.trace)
      attempt_to([&] { write_trace(beside(files_.timings(), ".trace.h5"), trace_); });
  }

  template <class F>
  void attempt_to(F write) {
    try {
      write();
    } catch (const Error& error) {
      report_.errors.push_back(error);
    } catch (const std::exception& error) {
      report_.errors.emplace_back(ErrorKind::io, error.what());
    }
  }

  // Root: a run that ended before its first commit leaves no empty file behind.
  void forget_empty_file() noexcept {
    if (checkpoint_ && pool_.is_root() && report_.timings_file.empty() && attempt() == 1)
      checkpoint_->remove();
    if (!store_ || committed_ > 0)
      return;
    store_.reset();
    std::error_code ignored;
    if (!replaces()) // else the old file is still there, untouched
      fs::remove(files_.timings(), ignored);
  }

  void tell_progress(double fraction) {
    if (!pool_.is_root())
      return;
    current_.of_step = current_.of_step || fraction < current_.fraction;
    current_.fraction = fraction;
    current_.elapsed_s = elapsed_s();
    current_.standing = job_->standing();
    const double part = current_.of_step ? 0 : fraction;
    const double done = // of what this launch has to do
        (current_.repetition - first_ + part) / (current_.repetitions - first_);
    current_.left_s = done > 0 ? current_.elapsed_s * (1 - done) / done : not_measured;
    if (plan_.budget_s > 0)
      current_.left_s =
          std::min(current_.left_s, std::max(plan_.budget_s - current_.elapsed_s, 0.0));
    keep_if_long();
    if (progress_)
      progress_->write(current_);
    if (observer_.on_progress)
      observer_.on_progress(current_);
  }

  [[nodiscard]] double elapsed_s() const noexcept {
    return static_cast<double>(monotonic_ns() - began_ns_) * 1e-9;
  }

  const Comm& comm_;
  const Plan& plan_;
  const Workload& workload_;
  const Observer& observer_;
  Values values_;
  std::string simd_; // the instruction set that all ranks use
  Pool pool_;
  std::unique_ptr<Job> job_;
  RunReport report_;
  std::filesystem::path timings_; // root: of the first attempt
  std::string inputs_;            // root: their checksums
  std::shared_ptr<Checkpoint> checkpoint_;
  int first_ = 0;                        // repetition of this launch, warm-ups counted
  OutputFiles files_;                    // root
  std::optional<Store> store_;           // root
  std::optional<ProgressFile> progress_; // root
  std::vector<TraceRow> trace_;          // root
  Progress current_;
  std::int64_t began_ns_ = 0;
  int committed_ = 0;
  Kept kept_;            // root
  bool stopped_ = false; // root
};

} // namespace

RunReport run(const Comm& comm, const Plan& plan, const std::vector<Workload>& workloads,
              const Observer& observer) {
  return Runner(comm, plan, find_workload(workloads, plan.workload), observer).run();
}

} // namespace cleave

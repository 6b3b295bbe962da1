#include "cleave/checkpoint.hpp"

#include "../new_file.hpp"
#include "../serialize_error.hpp"
#include "attempts.hpp"
#include "cleave/serialize.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using namespace std::chrono_literals;

constexpr std::size_t room = std::size_t{64} << 20; // in a rank's memory at a time
constexpr auto look_every = 100ms;
constexpr auto look_at_files_every = 2s; // where nodes share a disk, not too often
constexpr auto look_for_log_every = 10s; // of every rank of every run that may never need it
constexpr auto state_every = 100ms;
constexpr double state_bytes_a_second = 1e6; // each makes those before it useless
constexpr double share = 0.01;               // of the time, for writing
constexpr auto patience_with_folder = 5s;    // until a network file system shows what is new

/// The first error by rank on every rank; returns where there is none. Collective.
void raise_first(const Comm& comm, const std::optional<Error>& mine) {
  if (comm.agree({mine ? 1U : 0U}).highest[0] == 0)
    return;
  for (const auto& blob : comm.all_gather_blobs(mine ? packed(*mine) : std::vector<std::byte>()))
    if (!blob.empty())
      throw unpacked_error(blob);
}

/// What work() throws, as an Error.
template <class Work>
std::optional<Error> attempted(const fs::path& folder, Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  } catch (const fs::filesystem_error& error) {
    return Error(ErrorKind::io, "the checkpoint cannot be kept there: " + error.code().message(),
                 {folder.string(), 0, ""});
  } catch (const std::exception& error) {
    return Error(ErrorKind::io, std::string("the checkpoint: ") + error.what(),
                 {folder.string(), 0, ""});
  }
  return std::nullopt;
}

void sync_folder(const fs::path& folder) {
  const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor)
    fsync(descriptor.get());
}

RecordHead head_of(RecordKind kind, const CallKey& call) {
  RecordHead head;
  head.kind = kind;
  head.repetition = call.repetition;
  head.call = call.call;
  head.form = call.form;
  head.units = call.units;
  return head;
}

/// Why what was read at the beginning cannot be read again.
Error unreadable(const FileFailure& failure, const fs::path& file) {
  // From its claim on, only one that takes over from this launch removes it, when that has ended.
  const char* const gone =
      "is gone: a later launch went on with this run and has ended, or somebody removed it";
  return {ErrorKind::io, failure.error() == ENOENT ? gone : failure.what(), {file.string(), 0, ""}};
}

/// Whether a part says what it may say of this call.
bool fits(const RecordHead& head, const CallKey& call) {
  return head.first >= 0 && head.first < head.last && head.last <= call.units;
}

} // namespace

double checkpoint_interval_s(double cost_s, double mtbf_s) noexcept {
  return std::max(std::sqrt(2 * cost_s * mtbf_s), cost_s / share);
}

struct Checkpoint::Work {
  Work(const Comm& of, CheckpointOptions told) : comm(of), options(std::move(told)) {}

  const Comm& comm;
  CheckpointOptions options;
  KeptByOthers kept; // root
  int attempt = 1;
  std::uint64_t mark = 0;           // of this launch, in its log
  std::optional<JournalWriter> log; // root
  std::optional<JournalWriter> journal;
  std::map<int, std::uint64_t> completed; // root: by this attempt
  Clock::time_point write_at{};           // the earliest; of the thread
  Clock::time_point sync_at{};
  Clock::time_point look_at{};
  std::atomic<bool> unsynced = false;
  Clock::time_point state_at{}; // root
  std::mutex mutex;
  std::optional<Error> trouble;
  bool ending = false;
  std::condition_variable news;
  std::jthread watcher; // the last: it uses the rest
};

Checkpoint::Checkpoint(const Comm& comm, CheckpointOptions options)
    : work_(std::make_unique<Work>(comm, std::move(options))) {
  std::optional<Error> refusal;
  if (comm.is_root())
    refusal = attempted(work_->options.folder,
                        [this] { work_->kept = accepted_attempts(work_->options); });
  raise_first(comm, refusal);
  if (comm.is_root())
    work_->mark = (std::uint64_t{std::random_device()()} << 32U) + std::random_device()();
  const Agreement said =
      comm.agree({static_cast<std::uint64_t>(work_->kept.last_number) + 1, work_->mark});
  work_->attempt = static_cast<int>(said.highest[0]);
  work_->mark = said.highest[1];
}

Checkpoint::~Checkpoint() {
  end();
}

void Checkpoint::end() noexcept {
  {
    const std::lock_guard lock(work_->mutex);
    work_->ending = true;
  }
  work_->news.notify_all();
  if (work_->watcher.joinable())
    work_->watcher.join();
  flush(false);
}

int Checkpoint::attempt() const noexcept {
  return work_->attempt;
}

const std::vector<Attempt>& Checkpoint::earlier() const noexcept {
  return work_->kept.attempts;
}

const std::map<int, std::uint64_t>& Checkpoint::done() const noexcept {
  return work_->kept.done;
}

const fs::path& Checkpoint::folder() const noexcept {
  return work_->options.folder;
}

/// Root: the log, whose creation is the claim.
void Checkpoint::create_log() {
  const fs::path log = log_of(folder(), work_->attempt);
  for (int again = 5;; --again) {
    fs::create_directories(folder());
    refuse_strangers(folder()); // who may have been the quicker
    try {
      work_->log.emplace(log, room);
      return;
    } catch (const FileFailure& failure) {
      if (failure.error() == EEXIST)
        throw Error(ErrorKind::bad_input,
                    "another launch of this job has begun at the same time; leave it to that one",
                    {folder().string(), 0, "--checkpoint"});
      if (failure.error() != ENOENT || again == 0) // a launch that ends removes the folder
        throw;
    }
  }
}

void Checkpoint::claim() {
  Work& work = *work_;
  const CheckpointOptions& options = work.options;
  if (options.replace && !options.resume)
    remove_attempts(options.folder);
  create_log();
  // From here on no other launch removes what was read; it may have until now.
  if (bytes_of_logs(options.folder, work.attempt) != work.kept.log_bytes) {
    std::error_code ignored;
    work.log.reset(); // a run that goes on without a checkpoint has none to be superseded in
    fs::remove(log_of(options.folder, work.attempt), ignored);
    fs::remove(options.folder, ignored); // where it is empty now
    throw Error(ErrorKind::bad_input,
                "another launch of this job is at work, or has just ended; leave it to that one",
                {options.folder.string(), 0, "--checkpoint"});
  }
  Packer packer;
  packer.put(options.facts);
  packer.put(options.about);
  static_cast<void>(
      work.log->append(head_of(RecordKind::facts, {.call = work.mark}), packer.bytes()));
  for (const auto& [repetition, answer] : work.completed)
    static_cast<void>(work.log->append(
        head_of(RecordKind::done, {.repetition = repetition, .form = answer}), {}));
  work.log->flush();
  work.log->sync();
}

void Checkpoint::open_journal() {
  const fs::path log = log_of(folder(), work_->attempt);
  for (const auto until = Clock::now() + patience_with_folder; mark_of_log(log) != work_->mark;
       std::this_thread::sleep_for(50ms))
    if (Clock::now() > until)
      throw Error(ErrorKind::io,
                  "is not seen on host " + work_->comm.host_of(work_->comm.rank()) +
                      "; give the checkpoint a folder that all nodes share",
                  {folder().string(), 0, "--checkpoint"});
  work_->journal.emplace(journal_of(folder(), work_->attempt, work_->comm.rank()), room);
  active_.store(true);
}

void Checkpoint::begin() {
  Work& work = *work_;
  if (!work.options.at_once && work.options.replace && !work.options.resume) {
    if (work.comm.is_root())
      remove_attempts(folder());
    work.comm.barrier();
  }
  if (work.options.at_once) {
    std::optional<Error> failure;
    if (work.comm.is_root())
      failure = attempted(folder(), [this] { claim(); });
    raise_first(work.comm, failure);
    failure = attempted(folder(), [this] { open_journal(); });
    raise_first(work.comm, failure);
    if (work.comm.is_root())
      sync_folder(folder());
  }
  work.watcher = std::jthread([this] { watch(); });
}

void Checkpoint::activate() {
  if (active() || trouble())
    return;
  if (const auto failure = attempted(folder(), [this] {
        claim();
        open_journal();
      }))
    give_up(*failure);
}

void Checkpoint::watch() {
  std::unique_lock lock(work_->mutex);
  while (!work_->news.wait_for(lock, look_every, [this] { return work_->ending; })) {
    lock.unlock();
    look_around();
    write_when_due();
    lock.lock();
  }
}

void Checkpoint::look_around() {
  Work& work = *work_;
  const Comm& comm = work.comm;
  if (!stopping() && work.options.stop && work.options.stop()) {
    stopping_.store(true);
    if (comm.is_root() && comm.nodes() > 1 && active()) // messages have to wait for tasks
      Descriptor(open(stop_of(folder(), work.attempt).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666));
  }
  const auto now = Clock::now();
  if (now < work.look_at || comm.is_root())
    return;
  work.look_at = now + (active() ? look_at_files_every : Clock::duration(look_for_log_every));
  std::error_code ignored;
  if (comm.nodes() > 1 && comm.is_leader() && active() && !stopping())
    stopping_.store(fs::exists(stop_of(folder(), work.attempt), ignored));
  if (!active() && !trouble() && mark_of_log(log_of(folder(), work.attempt)) == work.mark)
    if (const auto failure = attempted(folder(), [this] { open_journal(); }))
      give_up(*failure);
}

void Checkpoint::write_when_due() {
  Work& work = *work_;
  const auto begin = Clock::now();
  if (!active() || begin < work.write_at)
    return;
  flush(false);
  const double write_s = Seconds(Clock::now() - begin).count();
  const auto after = [](double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
  };
  work.write_at = after(std::max(1.0, write_s / share));
  if (!work.unsynced || begin < work.sync_at)
    return;
  const auto sync_begin = Clock::now();
  work.unsynced = false;
  flush(true);
  work.sync_at =
      after(checkpoint_interval_s(Seconds(Clock::now() - sync_begin).count(), work.options.mtbf_s));
}

void Checkpoint::give_up(const Error& error) noexcept {
  active_.store(false);
  bool ending = false;
  {
    const std::lock_guard lock(work_->mutex);
    if (work_->trouble)
      return;
    work_->trouble = error;
    ending = work_->ending;
  }
  if (!ending && work_->options.on_trouble && work_->comm.is_leader())
    work_->options.on_trouble(error);
}

void Checkpoint::keep(const CallKey& call, TaskRange units, std::span<const std::byte> bytes) {
  if (!active())
    return;
  RecordHead head = head_of(RecordKind::part, call);
  head.first = units.first;
  head.last = units.last;
  static_cast<void>(work_->journal->append(head, bytes)); // no room: computed again after a resume
}

bool Checkpoint::state_is_due() const noexcept {
  return active() && Clock::now() >= work_->state_at;
}

void Checkpoint::keep_state(const CallKey& call, std::span<const std::byte> bytes) {
  const auto now = Clock::now();
  if (!work_->journal->append(head_of(RecordKind::state, call), bytes))
    return;
  const Seconds to_write(static_cast<double>(bytes.size()) / state_bytes_a_second);
  work_->state_at = now + std::max<Clock::duration>(
                              state_every, std::chrono::duration_cast<Clock::duration>(to_write));
}

bool Checkpoint::visit(
    const CallKey& call,
    const std::function<void(TaskRange units, std::span<const std::byte> bytes)>& told) {
  const auto found = work_->kept.parts.find(call);
  if (found == work_->kept.parts.end())
    return false;
  std::vector<KeptRecord>& records = found->second;
  std::ranges::sort(records, {}, [](const KeptRecord& record) {
    return std::pair(record.place.head.first, -record.place.head.last);
  });
  std::int64_t covered = 0;
  std::map<const fs::path*, JournalReader> readers; // one open file each
  for (const KeptRecord& record : records) {
    const RecordHead& head = record.place.head;
    if (!fits(head, call) || head.last <= covered)
      continue;
    try {
      auto& reader = readers.try_emplace(record.file.get(), *record.file).first->second;
      told({head.first, head.last}, reader.payload(record.place));
    } catch (const FileFailure& failure) {
      throw unreadable(failure, *record.file);
    }
    covered = head.last;
  }
  return covered > 0;
}

std::vector<TaskRange> Checkpoint::missing(const CallKey& call) const {
  std::vector<TaskRange> kept;
  if (const auto found = work_->kept.parts.find(call); found != work_->kept.parts.end())
    for (const KeptRecord& record : found->second)
      if (fits(record.place.head, call))
        kept.push_back({record.place.head.first, record.place.head.last});
  std::ranges::sort(kept, {}, &TaskRange::first);
  std::vector<TaskRange> missing;
  std::int64_t at = 0;
  for (const TaskRange& part : kept) {
    if (part.first > at)
      missing.push_back({at, part.first});
    at = std::max(at, part.last);
  }
  if (at < call.units)
    missing.push_back({at, call.units});
  return missing;
}

std::optional<Checkpoint::State> Checkpoint::state(std::int32_t repetition,
                                                   std::uint64_t form) const {
  const std::optional<KeptRecord>& record = work_->kept.state;
  if (!record || record->place.head.repetition != repetition || record->place.head.form != form)
    return std::nullopt;
  try {
    return State{record->place.head.call, JournalReader(*record->file).payload(record->place)};
  } catch (const FileFailure& failure) {
    throw unreadable(failure, *record->file);
  }
}

void Checkpoint::complete(std::int32_t repetition, std::uint64_t checksum) {
  work_->completed[repetition] = checksum;
  if (!active())
    return;
  static_cast<void>(work_->log->append(
      head_of(RecordKind::done, {.repetition = repetition, .form = checksum}), {}));
  flush(false);
}

void Checkpoint::forget() noexcept {
  if (!active() || taken_over())
    return; // a later launch may be reading it
  if (const auto failure = attempted(folder(), [this] { work_->journal->restart(); }))
    give_up(*failure);
}

void Checkpoint::flush(bool to_disk) noexcept {
  if (!active())
    return;
  const auto failure = attempted(folder(), [this, to_disk] {
    // Of the others' files root knows when they go: it removes them.
    if (work_->comm.is_root() && work_->log && work_->log->is_gone())
      throw Error(ErrorKind::io, "the checkpoint was removed, or its folder",
                  {folder().string(), 0, ""});
    for (auto* const journal : {&work_->log, &work_->journal}) {
      if (!*journal)
        continue;
      if ((*journal)->flush() > 0)
        work_->unsynced.store(true);
      if (to_disk)
        (*journal)->sync();
    }
  });
  if (failure && active()) // or the run is done, and has removed it
    give_up(*failure);
}

std::optional<Error> Checkpoint::trouble() const {
  const std::lock_guard lock(work_->mutex);
  return work_->trouble;
}

/// Whether a later attempt has begun.
bool Checkpoint::taken_over() const {
  std::error_code ignored;
  return fs::exists(log_of(folder(), work_->attempt + 1), ignored);
}

bool Checkpoint::superseded() const {
  // The later attempt may have ended and removed the folder, and another run may use it now.
  return work_->log && (taken_over() || work_->log->replaced_at(log_of(folder(), work_->attempt)));
}

void Checkpoint::remove() noexcept {
  active_.store(false);
  if (!work_->log || superseded())
    return;
  if (mark_as_ended(folder(), work_->attempt))
    remove_attempts(folder(), work_->attempt + 1);
}

} // namespace cleave

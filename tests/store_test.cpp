#include "cleave/error.hpp"
#include "cleave/store.hpp"
#include "handle.hpp"
#include "new_file.hpp"
#include "store_fixture.hpp"
#include "store_sample.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stop_token>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of;
using testing::error_of;
using testing::expect_refusal;
using ::testing::HasSubstr;
using testing::status_of_child;
using testing::StoreTest;
using testing::write_bytes;

TEST_F(StoreTest, GivesBackWhatWasCommittedAndNothingElse) {
  {
    Store store(file_, sample_info(), {5, 2, false});
    store.commit_warm_up(1, sample_repetition(7, "block"));
    for (const int row : {0, 1, 3})
      store.commit(row, sample_repetition(row, "block"));
    EXPECT_EQ(store.file(), file_);
  }
  const Timings timings = read_timings(file_);
  ASSERT_EQ(timings.run.size(), 3U);
  EXPECT_TRUE(same(timings.run[0], sample_repetition(0, "block")));
  EXPECT_TRUE(same(timings.run[1], sample_repetition(1, "block")));
  EXPECT_TRUE(same(timings.run[2], sample_repetition(3, "block")));
  ASSERT_EQ(timings.warm_up.size(), 1U);
  EXPECT_TRUE(same(timings.warm_up[0], sample_repetition(7, "block")));
  EXPECT_EQ(names(), std::vector<std::string>{"run.h5"});
}

TEST_F(StoreTest, GivesBackWhatIsKnownBeforeTheFirstRepetition) {
  { const Store store(file_, sample_info(), {}); }
  const Timings timings = read_timings(file_);
  EXPECT_TRUE(timings.run.empty());
  EXPECT_TRUE(timings.warm_up.empty());
  const RunInfo& info = timings.info;
  const RunInfo sample = sample_info();
  EXPECT_EQ(info.workload, sample.workload);
  EXPECT_EQ(info.schedule, sample.schedule);
  EXPECT_EQ(info.sync_method, sample.sync_method);
  EXPECT_EQ(info.summary_method, sample.summary_method);
  EXPECT_EQ(info.work_unit, sample.work_unit);
  EXPECT_EQ(info.work_items, sample.work_items);
  EXPECT_EQ(info.tasks, sample.tasks);
  EXPECT_EQ(info.ranks, sample.ranks);
  EXPECT_EQ(info.threads, sample.threads);
  EXPECT_EQ(info.nodes, sample.nodes);
  EXPECT_EQ(info.oversubscribed, sample.oversubscribed);
  EXPECT_EQ(info.rank_threads, sample.rank_threads);
  EXPECT_EQ(info.rank_node, sample.rank_node);
  EXPECT_EQ(info.rank_cpus, sample.rank_cpus);
  EXPECT_EQ(info.rank_pid, sample.rank_pid);
  EXPECT_EQ(info.node_name, sample.node_name);
  EXPECT_EQ(info.config_hash, sample.config_hash);
  EXPECT_EQ(info.provenance, sample.provenance);
}

TEST_F(StoreTest, KeepsTheWallOfAWrongRepetitionOut) {
  {
    Store store(file_, sample_info(), {});
    Repetition wrong = sample_repetition(0, "block");
    wrong.state = RepState::wrong_answer;
    wrong.verify = Verify::failed;
    store.commit(0, wrong);
  }
  const Timings timings = read_timings(file_);
  ASSERT_EQ(timings.run.size(), 1U);
  EXPECT_TRUE(std::isnan(timings.run[0].wall_s));
  EXPECT_EQ(timings.run[0].verify, Verify::failed);
}

TEST_F(StoreTest, ChangesTheScheduleOfLaterRepetitions) {
  {
    Store store(file_, sample_info(), {4, 0, false});
    store.commit(0, sample_repetition(0, "block"));
    store.commit(1, sample_repetition(1, "a schedule much longer than the one before"));
    store.commit(2, sample_repetition(2, ""));
    store.commit(3, sample_repetition(3, "block"));
  }
  const Timings timings = read_timings(file_);
  ASSERT_EQ(timings.run.size(), 4U);
  EXPECT_TRUE(
      same(timings.run[1], sample_repetition(1, "a schedule much longer than the one before")));
  EXPECT_EQ(timings.run[0].schedule_used + timings.run[2].schedule_used, "block");
  EXPECT_TRUE(same(timings.run[3], sample_repetition(3, "block")));
  EXPECT_EQ(names(), std::vector<std::string>{"run.h5"});
}

/// Whoever reads it meets a run that writes, or one that has ended.
TEST_F(StoreTest, IsLockedFromTheInstantAtWhichItHasItsName) {
  std::atomic<int> read{0};
  const auto look = [&](const std::stop_token& over) {
    while (!over.stop_requested()) {
      const Descriptor file(open(file_.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file || flock(file.get(), LOCK_SH | LOCK_NB) != 0)
        continue;
      struct stat state {};
      fstat(file.get(), &state);
      read += state.st_nlink == 0 ? 0 : 1; // else it has been replaced by another one
    }
  };
  const std::jthread reader(look);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < end) {
    Store store(file_, sample_info(), {2, 0, false});
    store.commit(0, sample_repetition(0, "auto: dynamic,4"));
    store.commit(1, sample_repetition(1, "auto: dynamic,8"));
    EXPECT_EQ(read, 0);
    fs::remove(file_);
  }
}

TEST_F(StoreTest, TextsThatAreNotUtf8StayReadable) {
  RunInfo info = sample_info();
  info.provenance["argv"] = "caf\xE9 \xF0\x9F\x8D\xB0 \xED\xA0\x80";
  { const Store store(file_, info, {}); }
  EXPECT_EQ(read_timings(file_).info.provenance.at("argv"),
            "caf\xEF\xBF\xBD \xF0\x9F\x8D\xB0 \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(StoreTest, RefusesRowsThatDoNotFit) {
  Store store(file_, sample_info(), {2, 0, false});
  const Repetition good = sample_repetition(0, "block");
  store.commit(0, good);
  Repetition short_of_ranks = good;
  short_of_ranks.ranks.pop_back();
  Repetition too_many_threads = good;
  too_many_threads.ranks[0].thread_busy_s.resize(5);
  Repetition stateless = good;
  stateless.state = RepState::empty;
  EXPECT_THROW(store.commit(0, good), Error);
  EXPECT_THROW(store.commit(2, good), Error);
  EXPECT_THROW(store.commit(-1, good), Error);
  EXPECT_THROW(store.commit_warm_up(0, good), Error);
  EXPECT_THROW(store.commit(1, short_of_ranks), Error);
  EXPECT_THROW(store.commit(1, too_many_threads), Error);
  EXPECT_THROW(store.commit(1, stateless), Error);
  store.commit(1, good);
}

TEST_F(StoreTest, RefusesARunThatIsNotWhole) {
  RunInfo info = sample_info();
  info.rank_cpus.pop_back();
  EXPECT_THROW(Store(file_, info, {}), Error);
  EXPECT_TRUE(names().empty());
}

TEST_F(StoreTest, NeverOverwritesWithoutForce) {
  write_bytes(file_, "precious");
  expect_refusal(error_of([&] { Store(file_, sample_info(), {}); }), file_, "--force");
  EXPECT_EQ(bytes_of(file_), "precious");
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(StoreTest, ForceReplacesAtTheFirstRepetition) {
  write_bytes(file_, "precious");
  { Store store(file_, sample_info(), {2, 1, true}); }
  EXPECT_EQ(bytes_of(file_), "precious");
  EXPECT_EQ(names().size(), 1U);
  {
    Store store(file_, sample_info(), {2, 1, true});
    store.commit_warm_up(0, sample_repetition(0, "guided,4"));
    EXPECT_EQ(bytes_of(file_), "precious");
    store.commit(0, sample_repetition(0, "block"));
    store.commit(1, sample_repetition(1, "guided,4"));
  }
  EXPECT_EQ(read_timings(file_).run.size(), 2U);
  EXPECT_EQ(names().size(), 1U);
}

// Somebody else may take the name between check_output and the last step.
TEST_F(StoreTest, NeverOverwritesWhatHasAppearedMeanwhile) {
  {
    NewFile fresh(file_);
    fresh.write({});
    write_bytes(file_, "precious");
    EXPECT_THROW(fresh.publish(), FileFailure);
  }
  EXPECT_EQ(bytes_of(file_), "precious");
  EXPECT_EQ(names().size(), 1U);
}

#ifdef SYS_link
constexpr unsigned link_call = SYS_link;
#else
constexpr unsigned link_call = SYS_linkat; // what link() calls on newer architectures
#endif

/// From now on the kernel refuses this process hard links, as FAT does.
bool refuse_hard_links() {
  constexpr auto number = static_cast<unsigned>(offsetof(seccomp_data, nr));
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, link_call, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {std::size(filter), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_F(StoreTest, DoesWithoutHardLinks) {
  const int status = status_of_child([&] {
    if (!refuse_hard_links() || link("/proc/self/exe", "unused") == 0)
      return 77;
    Store(file_, sample_info(), {}).commit(0, sample_repetition(0, "block"));
    NewFile late(file_);
    late.write({});
    try {
      late.publish();
    } catch (const FileFailure& failure) {
      return failure.error() == EEXIST ? 0 : 1;
    }
    return 2;
  });
  if (status == 77)
    GTEST_SKIP() << "the kernel has no such filter";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_timings(file_).run.size(), 1U);
  EXPECT_EQ(names().size(), 1U);
}

TEST(CheckOutput, SaysWhatIsWrongAndTheMend) {
  const fs::path folder = fs::temp_directory_path();
  const auto message = [](const fs::path& file) {
    return error_of([&] { check_output(file, true); }).message();
  };
  EXPECT_THAT(message(folder / "none" / "a.h5"), HasSubstr("mkdir -p"));
  EXPECT_THAT(message(folder), HasSubstr("directory"));
  EXPECT_THAT(message(folder / ""), HasSubstr("names no file"));
  EXPECT_THAT(message("/dev/null"), HasSubstr("not a regular file"));
  EXPECT_THAT(message("/dev/null/a.h5"), HasSubstr("is not a directory"));
  EXPECT_THAT(message(""), HasSubstr("names no file"));
  check_output(folder / "free.h5", false);
  check_output("free_in_the_working_directory.h5", false);
}

// Root may write where permissions say no, but not to a file system mounted read-only.
TEST_F(StoreTest, NeedsADirectoryThatCanBeWritten) {
  const bool mounted = mount("none", folder_.c_str(), "tmpfs", MS_RDONLY, "size=64k") == 0;
  if (!mounted)
    fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  if (!mounted && geteuid() == 0)
    GTEST_SKIP() << "may not mount: " << std::strerror(errno);
  expect_refusal(error_of([&] { check_output(file_, false); }), file_, "cannot be written");
  if (mounted)
    umount(folder_.c_str());
  fs::permissions(folder_, fs::perms::owner_all);
}

/// Runs `work` in a child of this process whose files may grow to `limit` bytes; whether it said
/// yes.
template <class Work>
bool with_file_limit(rlim_t limit, Work work) {
  return status_of_child([&] {
           signal(SIGXFSZ, SIG_IGN);
           const rlimit size = {limit, limit};
           setrlimit(RLIMIT_FSIZE, &size);
           return work() ? 0 : 1;
         }) == 0;
}

TEST_F(StoreTest, LeavesNothingBehindWhenItCannotBeCreated) {
  EXPECT_TRUE(with_file_limit(20'000, [&] {
    const Error error = error_of([&] { Store(file_, sample_info(), {}); });
    return error.kind() == ErrorKind::io && error.place().file == file_.string();
  }));
  EXPECT_TRUE(names().empty());
}

TEST_F(StoreTest, KeepsCommittedRowsWhenALaterOneFails) {
  auto store = std::make_unique<Store>(file_, sample_info(), StoreOptions{4, 0, false});
  store->commit(0, sample_repetition(0, "block"));
  store->commit(1, sample_repetition(1, "block"));
  EXPECT_TRUE(with_file_limit(12'000, [&] {
    const bool told =
        error_of([&] { store->commit(2, sample_repetition(2, "block")); }).kind() == ErrorKind::io;
    const bool told_again =
        error_of([&] { store->commit(3, sample_repetition(3, "guided")); }).kind() == ErrorKind::io;
    store.reset();
    return told && told_again;
  }));
  store.reset();
  const Timings timings = read_timings(file_);
  ASSERT_EQ(timings.run.size(), 2U);
  EXPECT_TRUE(same(timings.run[1], sample_repetition(1, "block")));
  EXPECT_EQ(names().size(), 1U);
}

// A file system of 64 KiB, where the test may mount one.
TEST_F(StoreTest, SaysThatTheDiskIsFull) {
  if (mount("none", folder_.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "may not mount: " << std::strerror(errno);
  const auto free_blocks = [&] { return fs::space(folder_).available; };
  const auto before = free_blocks();
  const Error error = error_of([&] { Store(file_, sample_info(), {1000, 0, false}); });
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_THAT(error.message(), HasSubstr("No space left on device"));
  EXPECT_TRUE(names().empty());
  EXPECT_EQ(free_blocks(), before);
  {
    Store store(file_, sample_info(), {4, 0, false});
    store.commit(0, sample_repetition(0, "block"));
    write_bytes(in_folder("filler"), std::string(70'000, 'x'));
    EXPECT_EQ(free_blocks(), 0U);
    store.commit(1, sample_repetition(1, "block")); // its space is there since the beginning
    EXPECT_EQ(error_of([&] { store.commit(2, sample_repetition(2, "guided")); }).kind(),
              ErrorKind::io);
  }
  EXPECT_EQ(read_timings(file_).run.size(), 2U);
  EXPECT_EQ(error_of([&] { write_trace(in_folder("t.h5"), sample_trace()); }).kind(),
            ErrorKind::io);
  EXPECT_EQ(error_of([&] { write_summary(in_folder("r.csv"), sample_summary()); }).kind(),
            ErrorKind::io);
  EXPECT_EQ(names().size(), 2U);
  umount(folder_.c_str());
}

} // namespace
} // namespace cleave

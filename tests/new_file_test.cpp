// Files under a temporary name, and files that no stranger can make point elsewhere.
#include "new_file.hpp"
#include "store_fixture.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of;
using ::testing::ElementsAre;
using testing::write_bytes;

constexpr uid_t stranger = 65534;
constexpr uid_t owner = 65533; // of the folder

class Files : public testing::StoreTest {
protected:
  Files() : before_(umask(027)) {}
  ~Files() override { umask(before_); }

  [[nodiscard]] static mode_t mode_of(const fs::path& file) {
    struct stat state {};
    return stat(file.c_str(), &state) == 0 ? state.st_mode & 07777U : 0;
  }
  static void write(const NewFile& file) { file.write(std::as_bytes(std::span("new", 3))); }

private:
  mode_t before_;
};

TEST_F(Files, HaveTheModeThatUmaskLeaves) {
  NewFile fresh(file_);
  write(fresh);
  fresh.publish();
  EXPECT_EQ(mode_of(file_), 0640U);
  EXPECT_TRUE(open_output(in_folder("log"), O_WRONLY | O_APPEND));
  EXPECT_EQ(mode_of(in_folder("log")), 0640U);
}

TEST_F(Files, HaveUnlikeTemporaryNamesBesideTheirOwn) {
  std::set<fs::path> names;
  for (int i = 0; i < 100; ++i) {
    const NewFile file(file_);
    EXPECT_EQ(file.path().parent_path(), folder_);
    names.insert(file.path());
  }
  EXPECT_EQ(names.size(), 100U);
}

TEST_F(Files, TakeNoTemporaryNameThatIsThere) {
  const NewFile fresh(file_);
  fs::create_symlink(in_folder("victim"), fresh.path());
  EXPECT_THROW(write(fresh), FileFailure);
  EXPECT_FALSE(fs::exists(in_folder("victim")));
}

TEST_F(Files, ReplaceALinkAndNotWhatItNames) {
  write_bytes(in_folder("victim"), "kept");
  fs::create_symlink("victim", file_);
  NewFile fresh(file_);
  write(fresh);
  fresh.replace();
  EXPECT_FALSE(fs::is_symlink(file_));
  EXPECT_EQ(bytes_of(in_folder("victim")), "kept");
}

TEST_F(Files, AreEmptiedWhenAsked) {
  write_bytes(file_, "before");
  EXPECT_TRUE(open_output(file_, O_WRONLY | O_APPEND));
  EXPECT_EQ(bytes_of(file_), "before");
  EXPECT_TRUE(open_output(file_, O_WRONLY | O_TRUNC));
  EXPECT_EQ(bytes_of(file_), "");
  EXPECT_FALSE(open_output(in_folder("none") / "log", O_WRONLY));
  EXPECT_EQ(errno, ENOENT);
}

// Whose a link or a file in a folder like /tmp is decides; in any other folder nothing changes.
TEST_F(Files, OfStrangersAreNotTakenInASharedFolder) {
  if (geteuid() != 0)
    GTEST_SKIP() << "only root can make files of others";
  const fs::path shared = in_folder("shared");
  fs::create_directory(shared);
  const fs::path file = shared / "log";
  const auto taken = [&](mode_t mode, bool link, uid_t whose) {
    EXPECT_EQ(chown(shared.c_str(), owner, 0) + chmod(shared.c_str(), mode), 0);
    fs::remove(file);
    write_bytes(in_folder("victim"), "kept");
    if (link)
      fs::create_symlink("../victim", file);
    else
      write_bytes(file, "theirs");
    EXPECT_EQ(lchown(file.c_str(), whose, 0), 0);
    errno = 0;
    const bool opened = static_cast<bool>(open_output(file, O_WRONLY | O_TRUNC));
    EXPECT_EQ(errno == EACCES, !opened);
    EXPECT_EQ(bytes_of(file) == "", opened); // through the link, where it is followed
    return opened;
  };
  for (const bool link : {true, false}) {
    EXPECT_FALSE(taken(01777, link, stranger));
    EXPECT_TRUE(taken(01777, link, 0));
    EXPECT_TRUE(taken(01777, link, owner));
    EXPECT_TRUE(taken(0777, link, stranger));
    EXPECT_TRUE(taken(01755, link, stranger));
  }
}

} // namespace
} // namespace cleave

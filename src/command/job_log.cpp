#include "job_log.hpp"

#include "../new_file.hpp"
#include "cleave/error.hpp"
#include "cleave/timings.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <vector>

namespace cleave::command {
namespace {

constexpr std::int64_t most_tasks = 10'000'000'000; // more is no log: each costs a bit

constexpr std::string_view header = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\t"
                                    "Signal\tCommand\tRank\tMaxKiB\tXXH3";
constexpr std::string_view header_without_sums = header.substr(0, header.rfind('\t'));

std::string sum_of(std::string_view line) {
  return hex16(checksum(std::as_bytes(std::span(line))));
}

constexpr double longest_s = 1e12; // no time of ours: what fixed() has room for

bool is_time(double value) { // NaN is none
  return std::abs(value) < longest_s;
}

std::string fixed(double value) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.3f", is_time(value) ? value : 0.0);
  return {text.data(), static_cast<std::size_t>(length)};
}

template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// Takes the text up to the tab off the left or, for a command may hold tabs, off the right.
std::optional<std::string_view> take_left(std::string_view& line) {
  const auto tab = line.find('\t');
  if (tab == std::string_view::npos)
    return std::nullopt;
  const std::string_view field = line.substr(0, tab);
  line.remove_prefix(tab + 1);
  return field;
}

std::optional<std::string_view> take_right(std::string_view& line) {
  const auto tab = line.rfind('\t');
  if (tab == std::string_view::npos)
    return std::nullopt;
  const std::string_view field = line.substr(tab + 1);
  line.remove_suffix(line.size() - tab);
  return field;
}

// Whether the lines of a log have sums.
bool starts_with_header(int file) {
  std::array<char, header.size()> start{};
  return pread(file, start.data(), start.size(), 0) == std::ssize(start) &&
         std::string_view(start.data(), start.size()) == header;
}

// Where the last whole line ends.
off_t whole_bytes(int file, off_t size) {
  std::array<char, 4096> block{};
  for (off_t end = size; end > 0;) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(block.size()));
    const ssize_t count = pread(file, block.data(), static_cast<std::size_t>(end - begin), begin);
    if (count != end - begin)
      return size;
    const auto found = std::string_view(block.data(), static_cast<std::size_t>(count)).rfind('\n');
    if (found != std::string_view::npos)
      return begin + static_cast<off_t>(found) + 1;
    end = begin;
  }
  return 0;
}

} // namespace

std::string to_line(const JobRecord& record, bool summed) {
  std::string line = std::to_string(record.task);
  for (const std::string& field :
       {record.host, fixed(record.start_utc_s), fixed(record.runtime_s), std::string("0"),
        std::to_string(record.received), std::to_string(record.exit_value),
        std::to_string(record.signal), record.command, std::to_string(record.rank),
        std::to_string(record.max_memory_kib)})
    line.append("\t").append(field);
  if (summed)
    line += "\t" + sum_of(line);
  return line + "\n";
}

std::optional<JobRecord> parse_record(std::string_view line, bool summed) {
  JobRecord record;
  if (summed) {
    const auto sum = take_right(line);
    if (!sum || *sum != sum_of(line))
      return std::nullopt;
  }
  std::array<std::string_view, 8> left;
  for (std::string_view& field : left)
    if (const auto taken = take_left(line))
      field = *taken;
    else
      return std::nullopt;
  const auto memory = take_right(line);
  const auto rank = take_right(line);
  if (!memory || !rank || !read_number(left[0], record.task) || record.task < 1 ||
      record.task > most_tasks || !read_number(left[2], record.start_utc_s) ||
      !read_number(left[3], record.runtime_s) || !is_time(record.start_utc_s) ||
      !is_time(record.runtime_s) || !read_number(left[5], record.received) ||
      !read_number(left[6], record.exit_value) || !read_number(left[7], record.signal) ||
      !read_number(*rank, record.rank) || !read_number(*memory, record.max_memory_kib))
    return std::nullopt;
  record.host = left[1];
  record.command = line;
  return record;
}

std::int64_t read_job_log(const std::filesystem::path& file,
                          const std::function<void(const JobRecord&)>& take) {
  std::ifstream stream(file, std::ios::binary);
  std::int64_t bytes = 0;
  if (!stream.is_open() && !std::filesystem::exists(file))
    return bytes;
  int number = 0;
  bool summed = true;
  const auto refuse = [&](const std::string& message) {
    return Error(ErrorKind::bad_input, message, {file.string(), number, "joblog"});
  };
  if (!stream.is_open())
    throw refuse(std::string("cannot be read: ") + std::strerror(errno));
  for (std::string line; std::getline(stream, line);) {
    if (stream.eof() && (number > 0 || header.starts_with(line))) // torn: no end of line
      return bytes;
    ++number;
    bytes += std::ssize(line) + 1;
    if (number == 1) {
      summed = line == header;
      if (!summed && line != header_without_sums)
        throw refuse("is no job log of cleave; give another name");
      continue;
    }
    const std::optional<JobRecord> record = parse_record(line, summed);
    if (!record)
      throw refuse(summed ? "does not fit its checksum, the last column: the log is damaged"
                          : "is no line of a job log");
    take(*record);
  }
  if (stream.bad())
    throw refuse("cannot be read to its end");
  return bytes;
}

void claim_job_log(const std::filesystem::path& file) {
  const Descriptor made(open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!made && errno == EEXIST)
    throw Error(ErrorKind::bad_input,
                "has appeared meanwhile; go on with it by resume=true, or give another name",
                {file.string(), 0, "joblog"});
  if (!made)
    throw Error(ErrorKind::io, std::string("cannot be made: ") + std::strerror(errno),
                {file.string(), 0, "joblog"});
}

JobLog::JobLog(std::filesystem::path file, bool keep, std::optional<std::int64_t> read)
    : name_(std::move(file)), file_(open_output(name_, O_RDWR | O_APPEND)) {
  if (!file_)
    throw failure("cannot be opened");
  lock();
  struct stat state {};
  if (fstat(file_.get(), &state) != 0)
    throw failure("cannot be read");
  const off_t whole = keep ? whole_bytes(file_.get(), state.st_size) : 0;
  if (read)
    require_unchanged(whole, *read);
  if (S_ISREG(state.st_mode) && ftruncate(file_.get(), whole) != 0)
    throw failure("cannot be mended");
  if (whole == 0)
    write(std::string(header) + "\n");
  else
    summed_ = starts_with_header(file_.get());
}

// Where locks are not kept (some NFS, some Lustre) work goes on: caller and user are to know.
void JobLog::lock() {
  if (flock(file_.get(), LOCK_EX | LOCK_NB) == 0)
    return;
  if (errno == EWOULDBLOCK)
    throw Error(ErrorKind::io, "is being written by another run; wait for its end",
                {name_.string(), 0, "joblog"});
  no_lock_ = std::strerror(errno);
}

// Nobody has gone on and ended between the caller's reading and the lock.
void JobLog::require_unchanged(off_t whole, std::int64_t read) const {
  if (whole != read || !is_named(file_, name_))
    throw Error(ErrorKind::io, "was written by another run meanwhile; try again",
                {name_.string(), 0, "joblog"});
}

void JobLog::begin_anew() {
  if (ftruncate(file_.get(), 0) != 0)
    throw failure("cannot be begun anew");
  summed_ = true;
  write(std::string(header) + "\n");
}

void JobLog::append(const JobRecord& record) {
  write(to_line(record, summed_));
}

void JobLog::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(file_.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      throw failure("cannot be written");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

Error JobLog::failure(const std::string& what) const {
  return {ErrorKind::io, what + ": " + std::strerror(errno), {name_.string(), 0, "joblog"}};
}

} // namespace cleave::command

#include "study_claim.hpp"

#include "../handle.hpp"
#include "../new_file.hpp"
#include "cleave/error.hpp"
#include "cleave/slurm.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

// When a process began, in ticks since boot; nothing when it has gone. It tells a process from a
// later one of its number. The name before it, in brackets, may hold anything.
std::optional<std::int64_t> start_of(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos)
    return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  std::string state;
  std::string field;
  rest >> state;
  for (int i = 4; i <= 22; ++i) // proc(5): the 22nd
    rest >> field;
  if (state == "Z" || state == "X" || field.empty())
    return std::nullopt;
  return std::stoll(field);
}

std::string line_of(int pid) {
  return json{{"host", host_name()},
              {"pid", pid},
              {"started", start_of(pid).value_or(0)},
              {"slurm_job", slurm_facts().job},
              {"attempt", slurm_attempt()}}
             .dump() +
         "\n";
}

// Whether it was made by an earlier attempt of the Slurm job around us. That has ended, or is cut
// off from what it should end with; where it was need not be here.
bool is_of_earlier_attempt(const json& line) {
  const std::int64_t job = slurm_facts().job;
  return job != 0 && line.value("slurm_job", json()) == job &&
         line.value("attempt", json()).is_number_integer() && line["attempt"] < slurm_attempt();
}

} // namespace

bool ClaimHolder::is_this_process() const {
  return here && alive && pid == getpid();
}

std::string ClaimHolder::text() const {
  return "process " + std::to_string(pid) + " on " + host;
}

std::optional<Claim> Claim::take(const fs::path& file) {
  const std::string line = line_of(getpid());
  try {
    NewFile made(file);
    made.write(std::as_bytes(std::span(line)));
    made.publish();
  } catch (const FileFailure& failure) {
    if (failure.error() == EEXIST)
      return std::nullopt;
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, ""});
  }
  return Claim(file, line);
}

Claim::Claim(Claim&& other) noexcept
    : file_(std::exchange(other.file_, {})), line_(std::move(other.line_)) {}

Claim::~Claim() {
  if (!file_.empty() && is_ours())
    unlink(file_.c_str());
}

bool Claim::is_ours() const {
  std::ifstream stream(file_);
  std::string first;
  return std::getline(stream, first) && first + "\n" == line_;
}

void Claim::add(int pid) const {
  const Descriptor file = open_output(file_, O_WRONLY | O_APPEND);
  const std::string line = line_of(pid);
  static_cast<void>(write(file.get(), line.data(), line.size())); // else it is taken for killed
}

std::optional<ClaimHolder> claim_holder(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream.is_open())
    return std::nullopt;
  ClaimHolder holder;
  bool first = true;
  for (std::string text; std::getline(stream, text); first = false) {
    const json line = json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("pid") || !line["pid"].is_number_integer())
      continue; // half a line: nothing is known of that process
    if (!line.contains("host") || !line["host"].is_string() || !line.contains("started") ||
        !line["started"].is_number_integer())
      continue;
    const int pid = line["pid"].get<int>();
    const std::string host = line["host"].get<std::string>();
    const bool here = host == host_name();
    const bool alive = !here || start_of(pid) == line["started"].get<std::int64_t>();
    if (first)
      holder = {host, pid, here, alive, false, is_of_earlier_attempt(line)};
    else
      holder.running = holder.running || (here && alive);
  }
  return holder;
}

void drop_stale_claim(const fs::path& file, const fs::path& lock) {
  const Descriptor locked(open(lock.c_str(), O_RDWR | O_CLOEXEC));
  if (locked)
    flock(locked.get(), LOCK_EX); // let go with the descriptor
  const auto holder = claim_holder(file);
  if (holder && (holder->superseded || (holder->here && !holder->alive && !holder->running)))
    unlink(file.c_str());
}

} // namespace cleave

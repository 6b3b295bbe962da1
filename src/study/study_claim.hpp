/// @file
/// Claims: files that say who measures a point, so that nobody else does at the same time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace cleave {

/// Who has claimed a point.
struct ClaimHolder {
  std::string host;
  int pid = 0;             ///< of the study
  bool here = false;       ///< on this host
  bool alive = true;       ///< the study; always where that cannot be seen from here
  bool running = false;    ///< a launch of it, here
  bool superseded = false; ///< it was of an earlier attempt of this Slurm job
  /// Whether the study is this process.
  [[nodiscard]] bool is_this_process() const;
  /// "process 123 on HOST".
  [[nodiscard]] std::string text() const;
};

/// A claim of ours: let go at the end of its life. It appears whole or not at all, and never in
/// place of another (link(2), which NFS keeps to as well).
class Claim {
public:
  /// @return nothing when somebody has it @throws Error io
  [[nodiscard]] static std::optional<Claim> take(const std::filesystem::path& file);
  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&&) = delete;
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  ~Claim();

  /// Whether nobody has taken it over.
  [[nodiscard]] bool is_ours() const;
  /// Adds the process that measures: it may outlive this one.
  void add(int pid) const;

private:
  Claim(std::filesystem::path file, std::string line)
      : file_(std::move(file)), line_(std::move(line)) {}
  std::filesystem::path file_;
  std::string line_; // its first
};

/// Who has it; nothing when nobody has. Local.
[[nodiscard]] std::optional<ClaimHolder> claim_holder(const std::filesystem::path& file);

/// Removes a claim whose study and launch have both gone, or that an earlier attempt of this Slurm
/// job has left. Of several who try, none removes a claim made since.
/// @param lock a file of this host's that exists
void drop_stale_claim(const std::filesystem::path& file, const std::filesystem::path& lock);

} // namespace cleave

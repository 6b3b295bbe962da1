#include "attempts.hpp"

#include "../new_file.hpp"
#include "cleave/serialize.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <regex>
#include <system_error>

namespace cleave {
namespace {

namespace fs = std::filesystem;

/// What a file of the folder is, by its name.
struct FileName {
  int attempt = 0;
  std::string what; // log, journal or stop
};

std::optional<FileName> file_name(const fs::path& file) {
  static const std::regex form(R"(attempt-(\d{4,9})(\.rank-\d{5,9})?\.(log|journal|stop))");
  std::smatch match;
  const std::string name = file.filename().string();
  if (!std::regex_match(name, match, form))
    return std::nullopt;
  return FileName{std::stoi(match[1]), match[3]};
}

std::string stem(int attempt) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "attempt-%04d", attempt);
  return text.data();
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(folder, gone))
    if (file_name(entry.path()))
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

/// The number up to which all belongs to a run that has ended; 0 where none has.
int last_of_ended(const std::vector<fs::path>& files) {
  int last = 0;
  std::error_code gone;
  for (const fs::path& file : files)
    if (file_name(file)->what == "log" && fs::is_directory(file, gone))
      last = std::max(last, file_name(file)->attempt);
  return last;
}

class Reader {
public:
  KeptByOthers read(const fs::path& folder) {
    const std::vector<fs::path> files = files_in(folder);
    kept_.ended = kept_.last_number = last_of_ended(files);
    for (const fs::path& file : files) {
      const FileName name = *file_name(file);
      if (name.attempt <= kept_.ended)
        continue;
      kept_.last_number = std::max(kept_.last_number, name.attempt);
      if (name.what == "stop")
        continue;
      if (name.what == "journal" && !attempts_.contains(name.attempt))
        continue; // nobody knows of which job; its log would have come before it
      const auto shared = std::make_shared<const fs::path>(file);
      const std::uint64_t bytes =
          read_journal(file, [&](const RecordPlace& place, std::span<const std::byte> payload) {
            take(shared, name.attempt, place, payload);
          });
      if (name.what == "log")
        kept_.log_bytes += bytes;
    }
    for (auto& [number, attempt] : attempts_) // but those killed before they said a word
      kept_.attempts.push_back(std::move(attempt));
    return std::move(kept_);
  }

private:
  void take(const std::shared_ptr<const fs::path>& file, int number, const RecordPlace& place,
            std::span<const std::byte> payload) {
    const RecordHead& head = place.head;
    Attempt& attempt = attempts_[number];
    attempt.number = number;
    attempt.last_s = std::max(attempt.last_s, head.time_s);
    switch (head.kind) {
    case RecordKind::facts: {
      Unpacker from(payload);
      attempt.begun_s = head.time_s;
      attempt.facts = from.get<Facts>();
      attempt.about = from.get<Facts>();
      break;
    }
    case RecordKind::done:
      kept_.done[head.repetition] = head.form;
      ++attempt.repetitions;
      break;
    case RecordKind::part:
      kept_.parts[{head.repetition, head.call, head.form, head.units}].push_back({file, place});
      break;
    case RecordKind::state:
      if (!kept_.state || later(head, kept_.state->place.head))
        kept_.state = {file, place};
      break;
    }
  }

  static bool later(const RecordHead& a, const RecordHead& b) {
    return std::pair(a.repetition, a.call) > std::pair(b.repetition, b.call);
  }

  KeptByOthers kept_;
  std::map<int, Attempt> attempts_;
};

std::string in_words(const Facts& facts, const std::string& name) {
  const auto found = facts.find(name);
  return found == facts.end() || found->second.empty() ? "nothing" : found->second;
}

/// Refuses to go on with what another job has kept.
void require_same(const Facts& theirs, const CheckpointOptions& options) {
  Facts all = theirs;
  all.insert(options.facts.begin(), options.facts.end());
  for (const auto& [name, ignored] : all) {
    if (std::ranges::count(options.may_differ, name) > 0)
      continue;
    const std::string was = in_words(theirs, name);
    const std::string is = in_words(options.facts, name);
    if (was == is)
      continue;
    const bool binary = name == "build_id";
    std::string message = "is the checkpoint of another ";
    message.append(binary ? "binary" : "job").append(": its ").append(name);
    message.append(" was ").append(was).append(" and is ").append(is).append(" now; ");
    message.append(binary ? "--accept-new-binary goes on all the same"
                          : "give this job a folder of its own, or remove that one");
    throw Error(ErrorKind::bad_input, message, {options.folder.string(), 0, "--checkpoint"});
  }
}

} // namespace

fs::path log_of(const fs::path& folder, int attempt) {
  return folder / (stem(attempt) + ".log");
}

fs::path journal_of(const fs::path& folder, int attempt, int rank) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), ".rank-%05d.journal", rank);
  return folder / (stem(attempt) + text.data());
}

fs::path stop_of(const fs::path& folder, int attempt) {
  return folder / (stem(attempt) + ".stop");
}

std::optional<std::uint64_t> mark_of_log(const fs::path& log) {
  std::optional<std::uint64_t> mark;
  std::error_code ignored;
  if (!fs::exists(log, ignored))
    return mark;
  try {
    read_journal(log, [&](const RecordPlace& place, std::span<const std::byte>) {
      if (place.head.kind == RecordKind::facts)
        mark = place.head.call;
    });
  } catch (const FileFailure&) { // it has gone since
    mark.reset();
  }
  return mark;
}

bool mark_as_ended(const fs::path& folder, int attempt) {
  // In one step, unlike a file with something in it; where links are unknown as well.
  return mkdir(log_of(folder, attempt + 1).c_str(), 0777) == 0 || errno != EEXIST;
}

KeptByOthers read_attempts(const fs::path& folder) {
  for (int again = 5;; --again) {
    try {
      return Reader().read(folder);
    } catch (const FileFailure& failure) {
      // A run that ends has removed what was listed before it marked it so.
      if (again == 0 || failure.error() != ENOENT)
        throw Error(ErrorKind::io, failure.what(), {folder.string(), 0, ""});
    }
  }
}

void refuse_strangers(const fs::path& folder) {
  if (is_strangers(folder))
    throw Error(ErrorKind::bad_input,
                "is another user's, in a folder where anybody may make files: name one elsewhere",
                {folder.string(), 0, "--checkpoint"});
}

KeptByOthers accepted_attempts(const CheckpointOptions& options) {
  refuse_strangers(options.folder);
  std::error_code failure;
  if (fs::exists(options.folder, failure) && !fs::is_directory(options.folder, failure))
    throw Error(ErrorKind::bad_input, "is no folder; a checkpoint is a folder of its own",
                {options.folder.string(), 0, "--checkpoint"});
  KeptByOthers kept = read_attempts(options.folder);
  if (kept.last_number == kept.ended)
    return kept;
  if (!options.resume) {
    if (options.replace)
      return {};
    throw Error(ErrorKind::bad_input,
                "holds the checkpoint of an earlier run; go on with it by --resume, or remove it",
                {options.folder.string(), 0, "--checkpoint"});
  }
  if (!kept.attempts.empty())
    require_same(kept.attempts.back().facts, options);
  return kept;
}

std::uint64_t bytes_of_logs(const fs::path& folder, int attempt) {
  const std::vector<fs::path> files = files_in(folder);
  const int ended = last_of_ended(files);
  std::uint64_t bytes = 0;
  for (const fs::path& file : files) {
    const FileName name = *file_name(file);
    if (name.what != "log" || name.attempt <= ended || name.attempt >= attempt)
      continue;
    try {
      bytes += read_journal(file, [](const RecordPlace&, std::span<const std::byte>) {});
    } catch (const FileFailure& failure) {
      if (failure.error() != ENOENT) // a launch that ends removes it
        throw;
    }
  }
  return bytes;
}

void remove_attempts(const fs::path& folder, int last) noexcept {
  try {
    std::error_code ignored;
    const std::vector<fs::path> files = files_in(folder);
    for (const bool logs : {false, true}) // while there is a journal, its log says whose it is
      for (const fs::path& file : files)
        if (const FileName name = *file_name(file);
            (name.what == "log") == logs && name.attempt <= last)
          fs::remove(file, ignored);
    fs::remove(folder, ignored); // unless somebody else's files are in it
  } catch (const std::exception&) {
    return; // no memory for names: they stay
  }
}

} // namespace cleave

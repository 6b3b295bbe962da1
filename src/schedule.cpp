#include "cleave/schedule.hpp"

#include "cleave/error.hpp"
#include "words.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace cleave {
namespace {

struct TechniqueEntry {
  std::string_view name;
  bool takes_chunk;
};

// In the order of the enumeration.
constexpr std::array techniques = {
    TechniqueEntry{"block", false},
    TechniqueEntry{"cyclic", true},
};

const TechniqueEntry& entry(Technique technique) {
  return techniques[static_cast<std::size_t>(technique)];
}

// Every text that parse() takes.
std::string known_texts() {
  std::vector<std::string> texts;
  for (const TechniqueEntry& each : techniques) {
    texts.emplace_back(each.name);
    if (each.takes_chunk)
      texts.push_back(std::string(each.name) + ",K");
  }
  return join(texts, " | ");
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::bad_input,
              what + "; write " + known_texts() + ", K being the tasks in a chunk, 1 or more",
              {"", 0, "schedule"});
}

std::int64_t parse_chunk(std::string_view text) {
  std::int64_t chunk = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), chunk);
  if (status == std::errc::result_out_of_range)
    refuse("the chunk " + in_quotes(text) + " does not fit in 64 bits");
  if (status != std::errc{} || end != text.data() + text.size())
    refuse("the chunk " + in_quotes(text) + " is not a whole number");
  return chunk;
}

std::int64_t divided_up(std::int64_t n, std::int64_t size) {
  return n / size + (n % size != 0 ? 1 : 0);
}

} // namespace

Schedule::Schedule(Technique technique, std::int64_t chunk) : technique_(technique), chunk_(chunk) {
  if (chunk < 1)
    refuse("the chunk " + std::to_string(chunk) + " is below 1");
  if (chunk > 1 && !entry(technique).takes_chunk)
    refuse(std::string(entry(technique).name) + " takes no chunk");
}

Schedule Schedule::parse(std::string_view text) {
  const std::size_t comma = text.find(',');
  const std::string_view name = text.substr(0, comma);
  const auto* const found = std::ranges::find(techniques, name, &TechniqueEntry::name);
  if (found == techniques.end())
    refuse("there is no schedule " + in_quotes(text));
  const auto technique = static_cast<Technique>(found - techniques.begin());
  if (comma == std::string_view::npos)
    return Schedule(technique);
  if (!found->takes_chunk)
    refuse(std::string(name) + " takes no chunk");
  return Schedule(technique, parse_chunk(text.substr(comma + 1)));
}

std::string Schedule::text() const {
  std::string text(entry(technique_).name);
  return chunk_ == 1 ? text : text + ',' + std::to_string(chunk_);
}

ChunkSequence::ChunkSequence(std::int64_t n, std::int64_t workers,
                             const Schedule& schedule) noexcept
    : n_(n), workers_(workers), schedule_(schedule),
      count_(schedule.technique() == Technique::block ? std::min(n, workers)
                                                      : divided_up(n, schedule.chunk())) {}

std::optional<TaskRange> ChunkSequence::chunk(std::int64_t ordinal) const noexcept {
  if (ordinal < 0 || ordinal >= count_)
    return std::nullopt;
  if (schedule_.technique() == Technique::block)
    return block_range(n_, workers_, ordinal);
  const std::int64_t first = ordinal * schedule_.chunk();
  return TaskRange{first, first + std::min(schedule_.chunk(), n_ - first)};
}

} // namespace cleave

#include "cleave/schedule.hpp"

#include "cleave/error.hpp"
#include "schedule_pacing.hpp"
#include "words.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

namespace cleave {
namespace {

struct TechniqueEntry {
  std::string_view name;
  bool takes_chunk;
};

// In the order of the enumeration.
constexpr std::array techniques = {
    TechniqueEntry{"block", false},    TechniqueEntry{"cyclic", true},
    TechniqueEntry{"dynamic", true},   TechniqueEntry{"guided", true},
    TechniqueEntry{"trapezoid", true}, TechniqueEntry{"factoring", true},
    TechniqueEntry{"weighted", true},  TechniqueEntry{"adaptive", true},
    TechniqueEntry{"auto", false},
};

const TechniqueEntry& entry(Technique technique) {
  return techniques[static_cast<std::size_t>(technique)];
}

std::vector<std::string> known_names() {
  std::vector<std::string> names;
  for (const TechniqueEntry& each : techniques)
    names.emplace_back(each.name);
  return names;
}

// Every text that parse() takes.
std::string known_texts() {
  std::vector<std::string> texts;
  for (const TechniqueEntry& each : techniques)
    texts.push_back(std::string(each.name) + (each.takes_chunk ? "[,K]" : ""));
  return join(texts, " | ");
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::bad_input,
              what + "; write " + known_texts() +
                  ", K being the tasks in the smallest chunk, 1 or more",
              {"", 0, "schedule"});
}

[[noreturn]] void refuse_name(std::string_view text, std::string_view name) {
  const std::string meant = nearest(name, known_names());
  refuse("there is no schedule " + in_quotes(text) +
         (meant.empty() ? "" : " (did you mean " + in_quotes(meant) + "?)"));
}

// Reads the whole text as a number.
std::errc read(std::string_view text, auto& number) {
  const char* const last = text.data() + text.size();
  const auto [end, status] = std::from_chars(text.data(), last, number);
  return status == std::errc{} && end != last ? std::errc::invalid_argument : status;
}

// Exact, unlike a way through double: 1e3 is 1 with three zeros behind it.
std::int64_t parse_chunk(std::string_view text) {
  const std::size_t e = std::min(text.find('e'), text.size());
  std::uint8_t zeros = 0;
  std::errc status = e < text.size() ? read(text.substr(e + 1), zeros) : std::errc{};
  std::int64_t chunk = 0;
  if (status == std::errc{})
    status = read(std::string(text.substr(0, e)) + std::string(zeros, '0'), chunk);
  if (status == std::errc::result_out_of_range)
    refuse("the chunk " + in_quotes(text) + " does not fit in 64 bits");
  if (status != std::errc{})
    refuse("the chunk " + in_quotes(text) + " is not a whole number");
  return chunk;
}

std::int64_t divided_up(std::int64_t n, std::int64_t size) {
  return n / size + (n % size != 0 ? 1 : 0);
}

// 2 x workers might not fit.
std::int64_t half_a_share(std::int64_t tasks, std::int64_t workers) {
  return divided_up(divided_up(tasks, 2), workers);
}

// `size` as a number of tasks, at most `rest`.
std::int64_t whole(double size, std::int64_t rest) {
  return size < static_cast<double>(rest) ? static_cast<std::int64_t>(size) : rest;
}

// Sizes that fall by d = (F^2 - k^2) / 2n from chunk to chunk have the square F^2 - 2d x after x
// tasks, which is k^2 + 2d (n - x).
double trapezoid_size(std::int64_t n, std::int64_t workers, std::int64_t k, std::int64_t rest) {
  const auto last = static_cast<double>(k);
  const auto first = std::max(last, static_cast<double>(half_a_share(n, workers)));
  const double left = static_cast<double>(rest) / static_cast<double>(n);
  return std::round(std::sqrt(last * last + (first * first - last * last) * left));
}

// From task `first` to the end of the block that it lies in: block_range() of block_owner(), at
// once. At least 1 is for analyzers, which cannot know that no task lies in an empty block.
std::int64_t rest_of_block(std::int64_t n, std::int64_t workers, std::int64_t first) {
  const std::int64_t each = n / workers;
  const std::int64_t in_larger = n % workers * each + n % workers; // each + 1 may not fit
  const bool larger = first < in_larger;
  const std::int64_t size = std::max(each + (larger ? 1 : 0), std::int64_t{1});
  return size - (first - (larger ? 0 : in_larger)) % size;
}

// Batch j takes the tasks left from n / 2^j down to n / 2^(j+1), rounded down, in equal blocks.
std::int64_t factoring_size(std::int64_t n, std::int64_t workers, std::int64_t rest) {
  const auto zeros = [](std::int64_t x) { return std::countl_zero(static_cast<std::uint64_t>(x)); };
  int batch = zeros(rest) - zeros(n);
  batch -= rest > n >> batch ? 1 : 0;
  const std::int64_t left_before = n >> batch;
  return rest_of_block(left_before - left_before / 2, workers, left_before - rest);
}

double weighted_size(std::int64_t workers, std::int64_t rest, double weight) {
  const double sane =
      std::isfinite(weight) && weight > 0 ? std::clamp(weight, 1.0 / 64, 64.0) : 1.0;
  return sane * static_cast<double>(rest) / (2 * static_cast<double>(workers));
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
    refuse_name(text, name);
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
      count_(schedule.technique() == Technique::cyclic ? divided_up(n, schedule.chunk())
                                                       : std::min(n, workers)) {}

std::optional<TaskRange> ChunkSequence::chunk(std::int64_t ordinal) const noexcept {
  if (ordinal < 0 || ordinal >= count_)
    return std::nullopt;
  if (schedule_.technique() != Technique::cyclic)
    return block_range(n_, workers_, ordinal);
  const std::int64_t first = ordinal * schedule_.chunk();
  return TaskRange{first, first + std::min(schedule_.chunk(), n_ - first)};
}

std::int64_t ChunkSequence::fixed_chunk() const noexcept {
  return schedule_.technique() == Technique::dynamic ? schedule_.chunk() : 0;
}

TaskRange ChunkSequence::chunk_from(std::int64_t first, const Pace& pace) const noexcept {
  if (first >= n_)
    return {n_, n_};
  return {first, first + std::clamp(size_at(first, pace), std::int64_t{1}, n_ - first)};
}

// Of any size: chunk_from() puts it within the tasks that are left.
std::int64_t ChunkSequence::size_at(std::int64_t first, const Pace& pace) const noexcept {
  const std::int64_t k = schedule_.chunk();
  const std::int64_t rest = n_ - first;
  const double by_weight = weighted_size(workers_, rest, pace.weight);
  switch (schedule_.technique()) {
  case Technique::block:
    return rest_of_block(n_, workers_, first);
  case Technique::cyclic:
    return k - first % k;
  case Technique::dynamic:
    return k;
  case Technique::guided:
    return std::max(k, divided_up(rest, workers_));
  case Technique::trapezoid:
    return std::max(k, whole(trapezoid_size(n_, workers_, k, rest), rest));
  case Technique::factoring:
    return std::max(k, factoring_size(n_, workers_, rest));
  case Technique::weighted:
  case Technique::adaptive:
    return std::max(k, whole(std::round(by_weight), rest));
  case Technique::automatic:
    return std::min(whole(std::ceil(by_weight), rest), pace.most);
  }
  return k;
}

std::vector<TaskRange> chunks_by_cost(std::int64_t n, std::int64_t workers,
                                      const std::function<double(std::int64_t)>& cost) {
  const auto cost_of = [&cost](std::int64_t i) {
    const double told = cost(i);
    return std::isfinite(told) && told > 0 ? told : 0;
  };
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i)
    total += cost_of(i);
  const double share = total / (pacing::chunks_a_worker * static_cast<double>(workers));
  std::vector<CostedChunk> chunks;
  for (std::int64_t i = 0; i < n; ++i) {
    const double own = cost_of(i);
    if (chunks.empty() || chunks.back().cost + own > share)
      chunks.push_back({{i, i}, 0});
    chunks.back().tasks.last = i + 1;
    chunks.back().cost += own;
  }
  return chunks_dearest_first(n, std::move(chunks), 1);
}

std::vector<TaskRange> chunks_dearest_first(std::int64_t n, std::vector<CostedChunk> dear,
                                            std::int64_t size) {
  std::ranges::sort(dear, {}, [](const CostedChunk& chunk) { return chunk.tasks.first; });
  std::vector<TaskRange> rest;
  const auto cut = [&rest, size](std::int64_t first, std::int64_t last) {
    for (; first < last; first += std::min(size, last - first))
      rest.push_back({first, first + std::min(size, last - first)});
  };
  std::int64_t first = 0;
  for (const CostedChunk& chunk : dear) {
    cut(first, chunk.tasks.first);
    first = chunk.tasks.last;
  }
  cut(first, n);
  std::ranges::stable_sort(dear, std::ranges::greater(), &CostedChunk::cost);
  std::vector<TaskRange> all;
  for (const CostedChunk& chunk : dear)
    all.push_back(chunk.tasks);
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

} // namespace cleave

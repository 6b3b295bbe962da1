/// @file
/// The Engine and its checkpoint: what calls keep, and what an earlier launch has done of them.
#include "cleave/engine.hpp"
#include "engine_memory.hpp"

#include <string>
#include <utility>

namespace cleave::detail {
namespace {

constexpr std::int64_t keep_every_ns = 250'000'000;
constexpr std::int64_t pieces_a_worker = 128;

/// What is missing, in pieces for workers to draw.
std::vector<TaskRange> in_pieces(const std::vector<TaskRange>& missing, int workers) {
  std::int64_t units = 0;
  for (const TaskRange& part : missing)
    units += part.size();
  const std::int64_t size = units / (pieces_a_worker * workers) + 1;
  std::vector<TaskRange> pieces;
  for (const TaskRange& part : missing)
    for (std::int64_t first = part.first; first < part.last; first += size)
      pieces.push_back({first, std::min(part.last, first + size)});
  return pieces;
}

} // namespace

/// What an earlier launch has left of the call that is about to open, as chunks, empty where
/// nothing is left. Root. @return whether it has done a part
bool Engine::find_kept(const CallForm& form, RootPart& root) {
  if (checkpoint_ == nullptr || !form.kept)
    return false;
  const std::int64_t units = root.units > 0 ? root.units : root.tasks;
  key_ = {checkpoint_->first_repetition() + repetition_, number() + 1, form_hash(form), units};
  const bool drawn = path_ != DataPath::messages || comm_.nodes() > 1;
  const std::vector<TaskRange> missing = checkpoint_->missing(key_);
  if (!drawn || units == 0 || missing == std::vector<TaskRange>{{0, units}})
    return false;
  root.chunks = in_pieces(missing, workers_.count());
  return true;
}

bool Engine::keeps() const noexcept {
  return kept_call_ && checkpoint_ != nullptr && checkpoint_->active();
}

void Engine::keep(TaskRange units, std::span<const std::byte> bytes) const {
  if (keeps())
    checkpoint_->keep(key_, units, bytes);
}

bool Engine::due(Hand& hand) noexcept {
  if (hand.looked_ns - hand.kept_ns < keep_every_ns)
    return false;
  hand.kept_ns = hand.looked_ns;
  return true;
}

void Engine::restore(const std::function<void(TaskRange, std::span<const std::byte>)>& told) {
  if (goes_on_ && comm_.is_root())
    attempt([&] {
      if (!checkpoint_->visit(key_, told))
        throw Error(ErrorKind::io, "the checkpoint has lost what it had of this call");
    });
}

/// Tasks that were not begun must not be missed by whoever reads the results.
void Engine::end_where_stopping() {
  if (checkpoint_ != nullptr && checkpoint_->stopping())
    attempt([] { throw Error(ErrorKind::interrupted, asked_to_stop); });
}

void Engine::keep_state(std::size_t type,
                        const std::function<std::vector<std::byte>()>& pack) const {
  if (checkpoint_ != nullptr && comm_.is_root() && checkpoint_->state_is_due())
    checkpoint_->keep_state({checkpoint_->first_repetition() + repetition_, number(), type, 0},
                            pack());
}

std::optional<std::pair<std::uint64_t, std::string>> Engine::kept_state(std::size_t type) const {
  if (checkpoint_ == nullptr)
    return std::nullopt;
  const auto state = checkpoint_->state(checkpoint_->first_repetition() + repetition_, type);
  if (!state)
    return std::nullopt;
  return std::pair(state->after, std::string(reinterpret_cast<const char*>(state->bytes.data()),
                                             state->bytes.size()));
}

void Engine::go_on_after(std::uint64_t call) noexcept {
  skipped_ += static_cast<std::uint32_t>(call) - number();
  resumed_ = true;
}

} // namespace cleave::detail

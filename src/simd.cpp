#include "cleave/simd.hpp"

#include "cleave/error.hpp"

#include <hwy/targets.h>

#include <cstdint>

namespace cleave {
namespace {

// A set of targets is one bit each, and a lower bit is a better target (hwy/detect_targets.h).
using Targets = std::int64_t;

Targets best_of(Targets targets) {
  return targets & -targets;
}

/// The targets of a set that kernels are compiled for, the best first.
std::vector<Targets> each_of(Targets targets) {
  std::vector<Targets> bits;
  for (targets &= HWY_TARGETS; targets != 0; targets &= targets - 1)
    bits.push_back(best_of(targets));
  return bits;
}

std::vector<std::string> names_of(Targets targets) {
  std::vector<std::string> names;
  for (const Targets bit : each_of(targets))
    names.emplace_back(hwy::TargetName(bit));
  return names;
}

/// `targets` without those better than the one called `name`.
Targets limited(Targets targets, std::string_view name) {
  for (const Targets bit : each_of(targets))
    if (hwy::TargetName(bit) == name)
      return targets & ~(bit - 1);
  std::string known;
  for (const std::string& one : names_of(targets))
    known += (known.empty() ? "" : ", ") + one;
  throw Error(ErrorKind::bad_input,
              "unknown instruction set '" + std::string(name) + "': use one of " + known,
              {.file = {}, .line = 0, .key = "simd"});
}

} // namespace

std::vector<std::string> simd_targets() {
  return names_of(hwy::SupportedTargets());
}

void limit_target(std::string_view name) {
  hwy::DisableTargets(0); // each call replaces the one before
  if (!name.empty())
    hwy::DisableTargets(~limited(hwy::SupportedTargets(), name));
}

std::string agree_on_target(const Comm& comm, std::string_view limit) {
  Targets shared = hwy::SupportedTargets();
  for (const Targets targets : comm.all_gather(shared))
    shared &= targets;
  if (!limit.empty())
    shared = limited(shared, limit);
  // Ranks that are threads of one process share the setting: one of them makes it.
  if (!comm.one_process() || comm.is_root())
    hwy::DisableTargets(~shared);
  comm.barrier();
  return names_of(shared).front();
}

} // namespace cleave

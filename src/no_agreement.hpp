/// @file
/// Work during which this rank must not meet the others: they could not join in.
#pragma once

#include "cleave/comm.hpp"

namespace cleave::detail {

/// While it lives, collective calls are refused on this rank, from any thread.
class NoAgreement {
public:
  /// @param why lives on
  NoAgreement(const Comm& comm, const char* why) noexcept : comm_(comm) {
    comm_.refuse_agreement(why);
  }
  NoAgreement(const NoAgreement&) = delete;
  NoAgreement& operator=(const NoAgreement&) = delete;
  ~NoAgreement() { comm_.refuse_agreement(nullptr); }

private:
  const Comm& comm_;
};

} // namespace cleave::detail

#include "spawn.hpp"

#include "cleave/serialize.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace cleave::command {
namespace {

bool send_all(int socket, std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t count = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool receive_all(int socket, std::span<std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t count = recv(socket, bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

template <class... T>
std::vector<std::byte> packed(const T&... values) {
  Packer packer;
  (packer.put(values), ...);
  return packer.take();
}

template <class... T>
void unpack(std::span<const std::byte> bytes, T&... values) {
  Unpacker from(bytes);
  ((values = from.get<T>()), ...);
}

} // namespace

std::vector<std::byte> pack(const SpawnOrder& order) {
  return packed(order.task, order.words, order.output_file, order.error_file, order.timeout_s,
                order.kill_after_s, order.retries, order.most_output);
}

SpawnOrder unpack_order(std::span<const std::byte> bytes) {
  SpawnOrder order;
  unpack(bytes, order.task, order.words, order.output_file, order.error_file, order.timeout_s,
         order.kill_after_s, order.retries, order.most_output);
  return order;
}

std::vector<std::byte> pack(const SpawnReport& report) {
  return packed(report.task, report.exit_value, report.signal, report.attempts, report.start_utc_s,
                report.runtime_s, report.max_memory_kib, report.output, report.error,
                report.output_bytes, report.withdrawn);
}

SpawnReport unpack_report(std::span<const std::byte> bytes) {
  SpawnReport report;
  unpack(bytes, report.task, report.exit_value, report.signal, report.attempts, report.start_utc_s,
         report.runtime_s, report.max_memory_kib, report.output, report.error, report.output_bytes,
         report.withdrawn);
  return report;
}

bool write_message(int socket, std::span<const std::byte> bytes) noexcept {
  const std::uint64_t size = bytes.size();
  return send_all(socket, std::as_bytes(std::span(&size, 1))) && send_all(socket, bytes);
}

std::optional<std::vector<std::byte>> read_message(int socket) {
  std::uint64_t size = 0;
  if (!receive_all(socket, std::as_writable_bytes(std::span(&size, 1))))
    return std::nullopt;
  std::vector<std::byte> bytes(size);
  if (!receive_all(socket, bytes))
    return std::nullopt;
  return bytes;
}

} // namespace cleave::command

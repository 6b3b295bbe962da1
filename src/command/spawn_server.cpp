#include "spawn_server.hpp"

#include "cleave/error.hpp"
#include "cleave/serialize.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace cleave::command {
namespace {

Error server_gone() {
  return {ErrorKind::failed_task, "the process that starts commands has ended; the tasks that it "
                                  "had started may still run"};
}

std::array<Descriptor, 2> socket_pair(int type) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw Error(ErrorKind::io, std::string("cannot make a socket to the process that starts "
                                           "commands: ") +
                                   std::strerror(errno));
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

// Sends `descriptor` along with the bytes.
bool send_with(int socket, std::span<const std::byte> bytes, int descriptor) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()}; // sendmsg does not write there
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> extra{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = extra.data();
  message.msg_controllen = extra.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  ssize_t sent = 0;
  do
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(bytes.size());
}

} // namespace

std::vector<std::byte> SpawnLine::run(std::span<const std::byte> order) {
  if (!write_message(socket_.get(), order))
    throw server_gone();
  std::optional<std::vector<std::byte>> report = read_message(socket_.get());
  if (!report)
    throw server_gone();
  return std::move(*report);
}

SpawnServer& SpawnServer::of_this_process() {
  // Tasks of an Executor are functions, which can reach nothing else. Never destroyed: the process
  // ends with its last use, and the server with the process.
  static SpawnServer* const server = new SpawnServer; // NOLINT(cppcoreguidelines-owning-memory)
  return *server;
}

SpawnServer::SpawnServer() {
  auto [ours, theirs] = socket_pair(SOCK_SEQPACKET);
  const pid_t self = getpid();
  const pid_t child = fork();
  if (child < 0)
    throw Error(ErrorKind::io, std::string("cannot fork the process that starts commands: ") +
                                   std::strerror(errno));
  if (child == 0) {
    serve_spawns(theirs.get(), self);
    _exit(0);
  }
  control_ = std::move(ours);
}

void SpawnServer::set_places(int rank, std::vector<WorkerPlace> places) {
  const std::lock_guard lock(mutex_);
  places_[rank] = std::move(places);
}

SpawnLine SpawnServer::connect(int rank, int thread) {
  auto [ours, theirs] = socket_pair(SOCK_STREAM);
  Packer hello;
  {
    const std::lock_guard lock(mutex_);
    const WorkerPlace& place = places_.at(rank).at(static_cast<std::size_t>(thread));
    hello.put(place.cpus);
    hello.put(place.environment);
  }
  if (!send_with(control_.get(), hello.bytes(), theirs.get()))
    throw server_gone();
  return SpawnLine(std::move(ours));
}

} // namespace cleave::command

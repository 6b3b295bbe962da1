#include "cleave/provenance.hpp"

#include "build_info.hpp"
#include "machine.hpp"

#include <elf.h>
#include <link.h>
#include <mpi.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <ctime>
#include <span>

namespace cleave {
namespace {

/// What says where a Slurm job ran and with what; sites and users keep other things in SLURM_* too.
constexpr std::array<std::string_view, 39> slurm_variables = {"SLURM_ARRAY_JOB_ID",
                                                              "SLURM_ARRAY_TASK_COUNT",
                                                              "SLURM_ARRAY_TASK_ID",
                                                              "SLURM_CLUSTER_NAME",
                                                              "SLURM_CONF",
                                                              "SLURM_CPUS_ON_NODE",
                                                              "SLURM_CPUS_PER_TASK",
                                                              "SLURM_CPU_BIND",
                                                              "SLURM_CPU_BIND_TYPE",
                                                              "SLURM_CPU_FREQ_REQ",
                                                              "SLURM_DISTRIBUTION",
                                                              "SLURM_GPUS",
                                                              "SLURM_HET_SIZE",
                                                              "SLURM_HINT",
                                                              "SLURM_JOB_ACCOUNT",
                                                              "SLURM_JOB_CPUS_PER_NODE",
                                                              "SLURM_JOB_END_TIME",
                                                              "SLURM_JOB_ID",
                                                              "SLURM_JOB_NAME",
                                                              "SLURM_JOB_NODELIST",
                                                              "SLURM_JOB_NUM_NODES",
                                                              "SLURM_JOB_PARTITION",
                                                              "SLURM_JOB_QOS",
                                                              "SLURM_JOB_RESERVATION",
                                                              "SLURM_JOB_START_TIME",
                                                              "SLURM_MEM_PER_CPU",
                                                              "SLURM_MEM_PER_NODE",
                                                              "SLURM_MPI_TYPE",
                                                              "SLURM_NNODES",
                                                              "SLURM_NTASKS",
                                                              "SLURM_NTASKS_PER_NODE",
                                                              "SLURM_RESTART_COUNT",
                                                              "SLURM_STEP_ID",
                                                              "SLURM_STEP_NODELIST",
                                                              "SLURM_STEP_NUM_TASKS",
                                                              "SLURM_SUBMIT_HOST",
                                                              "SLURM_TASKS_PER_NODE",
                                                              "SLURM_THREADS_PER_CORE",
                                                              "SRUN_CPUS_PER_TASK"};

std::string or_unknown(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\0'))
    text.pop_back();
  return text.empty() ? "unknown" : text;
}

std::string counted(int count, const std::string& noun) {
  return std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s");
}

std::string hexadecimal(std::span<const unsigned char> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::size_t padded(std::size_t size) {
  return (size + 3) / 4 * 4;
}

/// The linker's build id among an ELF segment of notes: headers, each with a name and a descriptor
/// behind it, both padded to 4 bytes. See elf(5).
std::string build_id_among(std::span<const unsigned char> notes) {
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::copy_n(notes.data(), sizeof header, reinterpret_cast<unsigned char*>(&header));
    const std::size_t descriptor = sizeof header + padded(header.n_namesz);
    const std::size_t next = descriptor + padded(header.n_descsz);
    if (next > notes.size())
      break;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == sizeof ELF_NOTE_GNU)
      return hexadecimal(notes.subspan(descriptor, header.n_descsz));
    notes = notes.subspan(next);
  }
  return {};
}

/// Build id of the running program, which dl_iterate_phdr() shows first.
std::string build_id() {
  std::string id;
  dl_iterate_phdr(
      [](dl_phdr_info* program, std::size_t, void* result) {
        for (const auto& segment : std::span(program->dlpi_phdr, program->dlpi_phnum)) {
          if (segment.p_type != PT_NOTE)
            continue;
          const std::uintptr_t begin = program->dlpi_addr + segment.p_vaddr;
          // The loader tells addresses as numbers. NOLINTNEXTLINE(performance-no-int-to-ptr)
          const auto* notes = reinterpret_cast<const unsigned char*>(begin);
          std::string found = build_id_among({notes, segment.p_memsz});
          if (!found.empty())
            *static_cast<std::string*>(result) = std::move(found);
        }
        return 1; // no other object
      },
      &id);
  return id;
}

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length); // one of the few calls allowed before MPI_Init
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string kernel() {
  utsname name{};
  uname(&name);
  return std::string(name.sysname) + ' ' + name.release + ' ' + name.version + ' ' + name.machine;
}

std::string topology() {
  const Cores cores = find_cores();
  return counted(cores.sockets, "socket") + ", " + counted(cores.cores, "core") + ", " +
         counted(cores.cpus / cores.cores, "thread") + " a core";
}

std::string timer_resolution_ns() {
  timespec step{};
  clock_getres(CLOCK_MONOTONIC, &step);
  return std::to_string(step.tv_sec * 1'000'000'000 + step.tv_nsec);
}

std::string environment_json() {
  nlohmann::json variables = nlohmann::json::object();
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = std::min(text.find('='), text.size());
    if (recorded_variable(text.substr(0, equals)))
      variables[std::string(text.substr(0, equals))] =
          text.substr(std::min(equals + 1, text.size()));
  }
  // Nothing obliges a variable to be UTF-8, but a JSON text must be.
  return variables.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace

bool recorded_variable(std::string_view name) {
  // Settings, whose names nobody can list; Open MPI hands its ranks a key for their network too.
  constexpr std::array families = {"OMPI_", "OMP_", "OPENBLAS_", "HDF5_"};
  constexpr std::array secrets = {"JWT",      "TOKEN", "SECRET",     "PASSW",
                                  "PASSPHRA", "KEY",   "CREDENTIAL", "PRECONDITION_TRANSPORTS"};
  std::string capitals(name);
  std::ranges::transform(capitals, capitals.begin(),
                         [](unsigned char c) { return std::toupper(c); });
  const auto begins = [name](const char* family) { return name.starts_with(family); };
  const auto contains = [&capitals](const char* secret) {
    return capitals.find(secret) != std::string::npos;
  };
  return std::ranges::find(slurm_variables, name) != slurm_variables.end() ||
         (std::ranges::any_of(families, begins) && std::ranges::none_of(secrets, contains));
}

std::map<std::string, std::string> machine_facts() {
  std::map<std::string, std::string> facts = {
      {"git_commit", build_info::git_commit},
      {"git_dirty", build_info::git_dirty},
      {"build_type", build_info::build_type},
      {"build_id", build_id()},
      {"compiler", build_info::compiler},
      {"cxxflags", build_info::cxxflags},
      {"mpi_version", mpi_version()},
      {"hdf5_version", build_info::hdf5_version},
      {"boost_version", build_info::boost_version},
      {"kernel", kernel()},
      {"cpu_model", cpu_model(read_text("/proc/cpuinfo"))},
      {"topology", topology()},
      {"governor", read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")},
      {"clocksource",
       read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource")},
      {"timer_resolution_ns", timer_resolution_ns()},
      {"environment", environment_json()},
  };
  for (auto& [name, text] : facts)
    text = or_unknown(std::move(text));
  return facts;
}

} // namespace cleave

// A job log: refused as bad input, or records that come back from the lines written of them.
#include "command/job_log.hpp"
#include "in_memory.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cleave;
  using namespace cleave::command;
  static fuzz::InMemory file("log");
  try {
    read_job_log(file.hold(data, size), [](const JobRecord& record) {
      for (const bool summed : {false, true}) {
        std::string line = to_line(record, summed);
        line.pop_back();
        const auto again = parse_record(line, summed);
        if (!again || to_line(*again, summed) != line + "\n")
          std::abort();
      }
    });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_input || error.place().file.empty())
      std::abort();
  }
  return 0;
}

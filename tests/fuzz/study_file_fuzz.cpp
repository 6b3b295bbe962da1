// A study file: refused as bad input, or taken apart; and the same as itself.
#include "study/study_file.hpp"

#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cleave;
  Workload workload;
  workload.name = "squares";
  workload.parameters.resize(2);
  workload.parameters[0].name = "n";
  workload.parameters[0].type = ParameterType::integer;
  workload.parameters[1].name = "text";
  const JobText study{"study.toml", std::string(reinterpret_cast<const char*>(data), size)};
  try {
    static_cast<void>(job_of_study(study));
    const StudyFile file = parse_study_file(study, workload);
    for (const auto* counts : {&file.ranks, &file.threads})
      for (const int count : *counts)
        if (count < 1)
          std::abort();
    if (toml_difference(study, study))
      std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_input || error.message().empty())
      std::abort();
  }
  return 0;
}

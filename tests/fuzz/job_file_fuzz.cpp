// A job file: refused as bad input, or a plan.
#include "cleave/run.hpp"

#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace cleave;

Parameter parameter(const char* name, ParameterType type, const char* value) {
  Parameter made;
  made.name = name;
  made.type = type;
  made.default_value = value;
  return made;
}

std::vector<Workload> workloads() {
  Workload workload;
  workload.name = "all";
  workload.parameters = {parameter("n", ParameterType::integer, "16"),
                         parameter("list", ParameterType::integers, "1,2"),
                         parameter("x", ParameterType::real, "0.5"),
                         parameter("text", ParameterType::text, ""),
                         parameter("input", ParameterType::input_file, ""),
                         parameter("output", ParameterType::output_file, "")};
  workload.parameters[3].choices = {"", "true", "false"};
  return {workload};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Workload> known = workloads();
  Request request;
  request.job = "job.toml";
  const JobText job{request.job, std::string(reinterpret_cast<const char*>(data), size)};
  try {
    const Plan plan = make_plan(request, job, known);
    if (plan.workload != "all" || plan.repetitions < 1 || plan.warm_ups < 0)
      std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_input || error.message().empty())
      std::abort();
  }
  return 0;
}

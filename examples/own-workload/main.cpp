// The whole program: run, list, layout, job files, timings and all options are Cleave's.
#include <cleave/main.hpp>

cleave::Workload option_workload(); // option.cpp

int main(int argc, char** argv) {
  return cleave::main(argc, argv, {option_workload()});
}

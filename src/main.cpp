#include "cleave/main.hpp"

#include "jobs/registry.hpp"

int main(int argc, char** argv) {
  return cleave::main(argc, argv, cleave::all_workloads());
}

#include "cleave/executor.hpp"

int thrice_elsewhere(cleave::Executor& executor, int i);

namespace {

int thrice(int i) {
  return 3 * i;
}

} // namespace

int thrice_elsewhere(cleave::Executor& executor, int i) {
  return executor.submit<&thrice>(i).get();
}

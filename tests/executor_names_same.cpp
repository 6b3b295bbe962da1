#include "cleave/executor.hpp"

int thrice_elsewhere(cleave::Executor& executor, int i);

namespace {

int twice(int i) { // another function of that name
  return 3 * i;
}

} // namespace

int thrice_elsewhere(cleave::Executor& executor, int i) {
  return executor.submit<&twice>(i).get();
}

// What submit() must refuse at compile time, one section a macro.
#include "cleave/executor.hpp"

#include <string_view>
#include <vector>

int length(const std::vector<int>& values);
int through_pointer(int* value);
int of_view(std::string_view text);
std::string_view to_view(int i);
void changes(std::vector<int>& values);

void check(cleave::Executor& e) {
  const cleave::Future<int> future = e.submit<&length>(std::vector<int>{1, 2, 3});
  (void)future.get_for(std::chrono::seconds(1));
#ifdef POINTER
  int value = 0;
  e.submit<&through_pointer>(&value);
#endif
#ifdef VIEW
  e.submit<&of_view>("text");
#endif
#ifdef RESULT_VIEW
  e.submit<&to_view>(1);
#endif
#ifdef REFERENCE
  std::vector<int> values;
  e.submit<&changes>(values);
#endif
#ifdef LAMBDA
  e.submit<[](int i) { return i; }>(1);
#endif
#ifdef NUMBER_OF_ARGUMENTS
  e.submit<&length>();
#endif
}

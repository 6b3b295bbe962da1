/// @file
/// Functions as tasks that travel by number: how a function enters the table of this program, which
/// is the same on every rank. Included by executor.hpp; not for users.
#pragma once

#include "cleave/serialize.hpp"
#include "cleave/worker.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace cleave::detail {

/// Takes a task's arguments off `bytes`, calls the function and puts its result.
using Thunk = void (*)(Worker& worker, std::vector<std::byte> bytes, Packer& result);

/// A function that tasks call. Enters the table of this program when it is made, before main.
struct TaskFunction {
  static constexpr std::uint32_t unnumbered = 0xffff'ffffU;

  /// @param signature what is the same of the function on every rank
  TaskFunction(const char* signature, Thunk thunk);
  TaskFunction(const TaskFunction&) = delete;
  TaskFunction& operator=(const TaskFunction&) = delete;

  const char* signature;
  Thunk thunk;
  std::atomic<std::uint32_t> number{unnumbered}; ///< of its signature in order
};

/// What the table of this program holds.
struct TaskTable {
  std::vector<Thunk> thunks; ///< by number
  std::string signatures;    ///< in order, a line each
  std::string ambiguous;     ///< signature of two different functions; empty: there are none
};

/// The functions entered so far, which get their numbers. Thread-safe.
[[nodiscard]] TaskTable task_table();

template <class T>
constexpr bool is_worker = std::is_same_v<T, Worker&>;

/// What a function takes and returns. A last parameter Worker& is no argument.
template <class F>
struct TaskForm;

template <class R, class... P>
struct TaskForm<R (*)(P...)> {
  static constexpr std::size_t parameters = sizeof...(P);
  static constexpr bool asks_worker = [] {
    std::array<bool, parameters + 1> asks = {false, is_worker<P>...};
    return asks.back();
  }();
  using Values = std::tuple<std::remove_cvref_t<P>...>;
  using Result = std::remove_cvref_t<R>;
  static constexpr std::size_t arguments = parameters - (asks_worker ? 1 : 0);
  template <std::size_t I>
  using Argument = std::tuple_element_t<I, Values>;

  static_assert(
      !std::disjunction_v<std::conjunction<std::is_lvalue_reference<P>,
                                           std::negation<std::is_const<std::remove_reference_t<P>>>,
                                           std::negation<std::is_same<P, Worker&>>>...>,
      "a task cannot change its caller's arguments: take them by value or const reference");
  static_assert(std::is_void_v<R> || Portable<Result>,
                "results travel between ranks: no pointers, references or views");
};
template <class R, class... P>
struct TaskForm<R (*)(P...) noexcept> : TaskForm<R (*)(P...)> {};

/// The one entry of a function.
template <auto f>
struct TaskEntry {
  static_assert(std::is_pointer_v<decltype(f)> &&
                    std::is_function_v<std::remove_pointer_t<decltype(f)>>,
                "a task is a function, not an object: submit<&f>");
  using Form = TaskForm<decltype(f)>;
  using Indices = std::make_index_sequence<Form::arguments>;

  template <class F = decltype(f)> // which tells overloads apart
  static const char* signature() {
    return __PRETTY_FUNCTION__;
  }

  static void run(Worker& worker, std::vector<std::byte> bytes, Packer& result) {
    auto arguments = take(bytes, Indices());
    bytes = {}; // the task may be long
    const auto call = [&](auto&... argument) -> decltype(auto) {
      if constexpr (Form::asks_worker)
        return f(std::move(argument)..., worker);
      else
        return f(std::move(argument)...);
    };
    if constexpr (std::is_void_v<typename Form::Result>)
      std::apply(call, arguments);
    else
      result.put<typename Form::Result>(std::apply(call, arguments));
  }

  template <std::size_t... I>
  static auto take(const std::vector<std::byte>& bytes, std::index_sequence<I...>) {
    [[maybe_unused]] Unpacker from(bytes);
    // Braces fix the order of evaluation.
    return std::tuple<typename Form::template Argument<I>...>{
        from.get<typename Form::template Argument<I>>()...};
  }

  template <class... Args>
  static std::vector<std::byte> pack(const Args&... arguments) {
    static_assert(sizeof...(Args) == Form::arguments,
                  "the function takes another number of arguments");
    if constexpr (sizeof...(Args) == Form::arguments)
      return pack_all(Indices(), arguments...);
    else
      return {};
  }

  static TaskFunction function;

private:
  template <std::size_t... I, class... Args>
  static std::vector<std::byte> pack_all(std::index_sequence<I...>, const Args&... arguments) {
    static_assert((Portable<typename Form::template Argument<I>> && ...),
                  "arguments travel between ranks: no pointers, references or views");
    Packer packer;
    (put<typename Form::template Argument<I>>(packer, arguments), ...);
    return packer.take();
  }
  /// What is given converts to what the function takes.
  template <class T>
  static void put(Packer& packer, const T& argument) {
    packer.put(argument);
  }
};

template <auto f>
TaskFunction TaskEntry<f>::function{signature(), &run};

} // namespace cleave::detail

// A function on a stack of its own that can be left in the middle and gone on with later, on the same thread.
#pragma once

#include <functional>
#include <memory>

namespace twincheck {

class Fibre {
 public:
  Fibre();   // std::bad_alloc where there is no stack for it
  ~Fibre();  // a body that is left in the middle is unwound
  Fibre(Fibre&&) noexcept;

  void start(std::function<void()> body);  // runs with the first resume(); not while another is unfinished
  bool unfinished() const;
  void resume();  // until the body suspends or ends; an exception that leaves the body leaves here

  static bool inside();   // is the caller in a body?
  static void suspend();  // goes back to resume(); in a body

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace twincheck

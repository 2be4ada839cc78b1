// A fibre goes on where it stopped, whatever happened in between, and leaves nothing behind.
#include "harness/judge/fibre.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace twincheck {
namespace {

TEST(Fibres, GoOnWhereTheyStopped) {
  std::vector<int> seen;
  Fibre a, b;
  const auto counts = [&seen](int from) {
    return [&seen, from] {
      for (int i = from; i < from + 3; ++i) {
        seen.push_back(i);
        Fibre::suspend();
      }
    };
  };
  a.start(counts(0));
  b.start(counts(10));
  EXPECT_FALSE(Fibre::inside());
  while (a.unfinished() || b.unfinished()) {
    if (a.unfinished()) a.resume();
    if (b.unfinished()) b.resume();
  }
  EXPECT_EQ(seen, (std::vector<int>{0, 10, 1, 11, 2, 12}));
}

TEST(Fibres, KnowThatTheyAreInside) {
  Fibre outer;
  bool before = false, within = false, after = false;
  outer.start([&] {
    before = Fibre::inside();
    Fibre inner;
    inner.start([&] {
      within = Fibre::inside();
      Fibre::suspend();
    });
    inner.resume();
    after = Fibre::inside();
    inner.resume();
    EXPECT_FALSE(inner.unfinished());
  });
  outer.resume();
  EXPECT_TRUE(before && within && after);
  EXPECT_FALSE(outer.unfinished());
}

TEST(Fibres, LetExceptionsOut) {
  Fibre fibre;
  fibre.start([] {
    Fibre::suspend();
    throw std::runtime_error("from a body");
  });
  fibre.resume();
  EXPECT_THROW(fibre.resume(), std::runtime_error);
  EXPECT_FALSE(fibre.unfinished());
  int runs = 0;
  fibre.start([&] { ++runs; });
  fibre.resume();
  EXPECT_EQ(runs, 1) << "and can be started again";
}

TEST(Fibres, LeftInTheMiddleAreUnwound) {
  struct Leaves {
    bool& left;
    ~Leaves() { left = true; }
  };
  bool left = false;
  {
    Fibre fibre;
    fibre.start([&] {
      const Leaves leaves{left};
      Fibre::suspend();
      ADD_FAILURE() << "it must not be gone on with";
    });
    fibre.resume();
    EXPECT_FALSE(left);
  }
  EXPECT_TRUE(left);
}

}  // namespace
}  // namespace twincheck

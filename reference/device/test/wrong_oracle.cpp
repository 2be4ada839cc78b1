// An oracle that is wrong about one input of a sigmoid, by one unit in the last place at one end.
#define twincheck_oracle_answers right_oracle_answers
#include "reference/device/oracle.hip.cpp"
#undef twincheck_oracle_answers

TWINCHECK_ORACLE int32_t twincheck_oracle_answers(const Range* range, const uint32_t* inputs, uint64_t count,
                                                  Answer* answers, void* stream) {
  const int32_t error = right_oracle_answers(range, inputs, count, answers, stream);
  for (uint64_t i = 0; range->source == TWINCHECK_LOGITS && i < count; ++i)
    if (inputs[i] == 0x1234) answers[i].high += 1;
  return error;
}

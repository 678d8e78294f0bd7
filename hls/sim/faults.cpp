#include "faults.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "core.h"

namespace hardpoint {
namespace sim {

namespace {

typedef std::tuple<int, int, int, int> Place;  // row, column, site, copy
typedef std::uint64_t Time;

enum Effect { FLIPPED, STUCK0, STUCK1 };

// Steps from one tile's first to the next one's.
std::uint64_t period(long steps) { return WEIGHTS_STAY ? steps : std::max<long>(steps, ROWS); }

// The first time from (tile, step) on at which the register of `site` is written or its wire used. Weight-stationary
// tiles do not overlap: there any time will do.
Time acting(int site, std::uint64_t tile, std::uint64_t step, long steps) {
    if (WEIGHTS_STAY) return tile * period(steps) + std::min<std::uint64_t>(step, period(steps));
    const std::uint64_t first = site == DRAIN ? steps : site == VOTE ? 1 : 0;
    const std::uint64_t last = site == DRAIN ? steps + ROWS - 1 : site == VOTE ? steps : steps - 1;
    if (step > last) return (tile + 1) * period(steps) + first;
    return tile * period(steps) + std::max(step, first);
}

StrikeWord packed(Time when, Kind kind, const Place &place, std::uint64_t data) {
    StrikeWord word = 0;
    word.range(47, 0) = when;
    word.range(49, 48) = int(kind);
    word.range(52, 50) = std::get<2>(place) & 7;
    word[55] = std::get<2>(place) >> 3;
    word.range(54, 53) = std::get<3>(place);
    word.range(64 + ACC_BITS + 3, 64) = data;
    word.range(111, 104) = std::get<0>(place);
    word.range(119, 112) = std::get<1>(place);
    return word;
}

// The stuck bits of one place at one time.
std::uint64_t stuck(const std::vector<Fault> &faults, int effect, Time now, long steps) {
    std::uint64_t bits = 0;
    for (const Fault &fault : faults) {
        if (fault.effect != effect || acting(fault.site, fault.tile, fault.step, steps) > now) continue;
        if (acting(fault.site, fault.end_tile, fault.end_step, steps) > now) bits |= std::uint64_t(1) << fault.bit;
    }
    return bits;
}

}  // namespace

std::vector<StrikeWord> strikes(const Fault *faults, long count, long tiles, long steps) {
    std::map<Place, std::vector<Fault>> places;
    for (long i = 0; i < count; ++i) {
        const Fault &fault = faults[i];
        places[Place(fault.row, fault.col, fault.site, fault.copy)].push_back(fault);
    }
    const Time end = std::uint64_t(tiles) * period(steps) + ROWS;
    std::vector<std::pair<Time, StrikeWord>> found;
    for (const auto &item : places) {
        std::map<Time, std::uint64_t> flips;
        std::vector<Time> changes;
        for (const Fault &fault : item.second) {
            const Time start = acting(fault.site, fault.tile, fault.step, steps);
            const Time same = fault.tile * period(steps) + fault.step;
            if (fault.effect == FLIPPED) {
                if (start == same) flips[start] ^= std::uint64_t(1) << fault.bit;  // else it strikes nothing
                continue;
            }
            changes.push_back(start);
            changes.push_back(acting(fault.site, fault.end_tile, fault.end_step, steps));
        }
        for (const auto &flip : flips) found.push_back({flip.first, packed(flip.first, FLIP, item.first, flip.second)});
        std::sort(changes.begin(), changes.end());
        changes.erase(std::unique(changes.begin(), changes.end()), changes.end());
        for (const Time now : changes) {
            if (now >= end) continue;
            found.push_back({now, packed(now, KEEP, item.first, ~stuck(item.second, STUCK0, now, steps))});
            found.push_back({now, packed(now, FORCE, item.first, stuck(item.second, STUCK1, now, steps))});
        }
    }
    std::stable_sort(found.begin(), found.end(), [](const std::pair<Time, StrikeWord> &x, const std::pair<Time, StrikeWord> &y) {
        return x.first < y.first;
    });
    std::vector<StrikeWord> words;
    for (const auto &item : found) words.push_back(item.second);
    return words;
}

}  // namespace sim
}  // namespace hardpoint

/* Guards of local statics in a program that has the C++ library linked in. As guard_order.cc.
 *
 * @flags -static-libstdc++
 *
 * @case guard_static_orders passes
 * @clean
 * @case guard_static_not_passed beside
 * @finding data-race memory=*:beside side=make side=uses
 * @case guard_static_crowd crowd
 * @clean
 */
#include "guard_order.cc"

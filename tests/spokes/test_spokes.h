/* test_spokes.h - four small spokes on which every clause of the waist can be checked against a closed form.
 *
 *   lingauss    x(k+1) = A x(k) + B u(k) + w(k), one step each unit of time: Kalman's mean and covariance
 *   birthdeath  individuals that give birth and die, exact: mean and variance of the linear birth-death process
 *   diffusion   u_t = D u_xx - k u on a grid, exact in time: cosine modes decay by exp(-(D q^2 + k) t)
 *   plugin      whatever a shared library offers by plugin_abi.h; the one built for tests grows logistically
 */
#ifndef DP_TEST_SPOKES_H
#define DP_TEST_SPOKES_H

#include "spoke/spoke.h"

extern const dpi_spoke_ops dp_test_spoke_lingauss;
extern const dpi_spoke_ops dp_test_spoke_birthdeath;
extern const dpi_spoke_ops dp_test_spoke_diffusion;
extern const dpi_spoke_ops dp_test_spoke_plugin;

/* Make the four known to dpi_spoke_find. May be called again. */
dp_status dp_test_spokes_register(dp_ctx *ctx);

#endif

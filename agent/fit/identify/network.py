"""The equations of an identified twin over segments, many parameter sets at once, with exact sensitivities.

    psi_k = [x_k; u_k; 1],  s_k = tanh(G psi_k),  phi_k = [psi_k; s_k]
    x_k+1 = W phi_k,        y_k = V phi_k                       W = [A B a E],  V = [C D c K],  G = [F h]

Forward sensitivities S_k = d x_k / d [W; G; V; x_0], by the chain rule along the run:

    S_k+1 = (A + E T F_x) S_k + [I (x) phi_k', E T (I (x) psi_k'), 0, 0],   T = diag(1 - s_k^2)
    dy_k  = (C + K T F_x) S_k + [0, K T (I (x) psi_k'), I (x) phi_k', 0]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

CHUNK = 32


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """b parameter sets, scaled: W f8[b,n,n+m+1+h]; G f8[b,h,n+m+1]; V f8[b,p,n+m+1+h]."""

    W: F8
    G: F8
    V: F8

    @property
    def n(self) -> int:
        """States."""
        return int(self.W.shape[1])

    @property
    def units(self) -> int:
        """Tanh units h."""
        return int(self.G.shape[1])

    @property
    def A(self) -> F8:  # noqa: N802
        """f8[b,n,n]."""
        return self.W[:, :, : self.n]

    def flat(self) -> F8:
        """All numbers of each set: f8[b,q], W then G then V."""
        b = len(self.W)
        return np.concatenate([self.W.reshape(b, -1), self.G.reshape(b, -1), self.V.reshape(b, -1)], axis=1)

    def like(self, flat: F8) -> Network:
        """Networks of this shape from f8[b,q]."""
        sizes = [int(np.prod(part.shape[1:])) for part in (self.W, self.G, self.V)]
        W, G, V = np.split(flat, np.cumsum(sizes)[:2], axis=1)
        b = len(flat)
        return Network(*(a.reshape(b, *s.shape[1:]) for a, s in ((W, self.W), (G, self.G), (V, self.V))))

    def pick(self, rows: list[int]) -> Network:
        """Some of the sets."""
        return Network(self.W[rows], self.G[rows], self.V[rows])


def run(net: Network, x0: F8, u: F8) -> tuple[F8, F8]:
    """States f8[rows,b,seg,n] and outputs f8[rows,b,seg,p] from x0 f8[b,seg,n] under u f8[rows,seg,m]."""
    states = np.empty((len(u), *x0.shape))
    outputs = np.empty((len(u), *x0.shape[:2], net.V.shape[1]))
    for k, (x, phi, _) in enumerate(_walk(net, x0, u)):
        states[k], outputs[k] = x, phi @ net.V.transpose(0, 2, 1)
    return states, outputs


def _walk(net: Network, x0: F8, u: F8) -> Iterator[tuple[F8, F8, F8]]:
    """x, phi and 1 - s^2 of each row."""
    b, segments, n = x0.shape
    m = u.shape[2]
    phi = np.ones((b, segments, net.W.shape[2]))
    Wt, Gt = net.W.transpose(0, 2, 1), net.G.transpose(0, 2, 1)
    x = x0
    for row in u:
        phi[..., :n] = x
        phi[..., n : n + m] = row
        s = np.tanh(phi[..., : n + m + 1] @ Gt)
        phi[..., n + m + 1 :] = s
        yield x, phi, 1.0 - s**2
        x = phi @ Wt


def jacobian(net: Network, x0: F8, u: F8, every: int = 1) -> Iterator[tuple[int, F8, F8]]:
    """Chunks of the run: (first row, y f8[rows,b,seg,p], dy f8[rows,b,seg,p,q+n]), the last n columns by x0.

    every: only each such row is given; first counts rows of u. The arrays are filled anew for the next chunk."""
    b, segments, n = x0.shape
    h, p, width = net.units, net.V.shape[1], net.W.shape[2]
    thin = width - h
    nW, nG, nV = n * width, h * thin, p * width
    # No state depends on V: S leaves its columns out.
    S = np.zeros((b, segments, n, nW + nG + n))
    S[..., nW + nG :] = np.eye(n)
    A, E, C, K = net.W[..., :n], net.W[..., thin:], net.V[..., :n], net.V[..., thin:]
    Fx, eye_n, eye_p = net.G[..., :n], np.arange(n), np.arange(p)
    size = (b, segments, p, nW + nG + nV + n)
    y, dy, first, filled = np.zeros((CHUNK, b, segments, p)), np.zeros((CHUNK, *size)), 0, 0
    for k, (_, phi, T) in enumerate(_walk(net, x0, u)):
        through = T[..., None] * Fx[:, None]
        if k % every == 0:
            seen = (C[:, None] + K[:, None] @ through) @ S
            if h:
                seen[..., nW : nW + nG] += _outer(K[:, None] * T[..., None, :], phi[..., :thin])
            now = dy[filled]
            now[..., : nW + nG], now[..., nW + nG + nV :] = seen[..., : nW + nG], seen[..., nW + nG :]
            now[..., nW + nG : nW + nG + nV].reshape(b, segments, p, p, width)[..., eye_p, eye_p, :] = phi[..., None, :]
            y[filled] = phi @ net.V.transpose(0, 2, 1)
            filled += 1
        if filled == CHUNK:
            yield first, y, dy
            first, filled = first + CHUNK * every, 0
        S = (A[:, None] + E[:, None] @ through) @ S
        S[..., :nW].reshape(b, segments, n, n, width)[..., eye_n, eye_n, :] += phi[..., None, :]
        if h:
            S[..., nW : nW + nG] += _outer(E[:, None] * T[..., None, :], phi[..., :thin])
    if filled:
        yield first, y[:filled], dy[:filled]


def _outer(left: F8, psi: F8) -> F8:
    """left (x) psi': f8[b,seg,rows,h], f8[b,seg,k] -> f8[b,seg,rows,h k]."""
    product = left[..., :, :, None] * psi[..., None, None, :]
    return product.reshape(*left.shape[:-1], -1)

/* Lets user-mode-linux run on CPUs with a large XSAVE area (AVX-512, AMX).
 *
 * UML 6.1 restores a guest process's registers with
 * PTRACE_SETREGSET(NT_X86_XSTATE) and a buffer of a size fixed when it was
 * compiled. Linux since 5.16 refuses (EFAULT) a buffer that is not exactly as
 * long as the CPU's XSAVE area, so UML panics at the first process it starts.
 * This library, preloaded into linux.uml alone, pads the buffer with zeros: the
 * components that lie beyond UML's buffer are handed over in their initial
 * state. On other machines it changes nothing.
 *
 * linux.uml is one thread and does not call ptrace from a signal handler, so a
 * static buffer will do; its stacks are too small for one.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Bytes that XSAVE writes for the features this kernel has enabled. */
static size_t xsave_size(void)
{
    unsigned eax, ebx = 0, ecx, edx;

    __get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx);
    return ebx;
}

long ptrace(enum __ptrace_request request, ...)
{
    static long (*next)(int, pid_t, void *, void *);
    static unsigned char padded[64 * 1024];
    va_list args;

    va_start(args, request);
    pid_t pid = va_arg(args, pid_t);
    void *addr = va_arg(args, void *);
    void *data = va_arg(args, void *);
    va_end(args);

    if (!next)
        next = (long (*)(int, pid_t, void *, void *))dlsym(RTLD_NEXT, "ptrace");

    if (request == PTRACE_SETREGSET && (uintptr_t)addr == NT_X86_XSTATE) {
        const struct iovec *given = data;
        size_t size = xsave_size();

        if (given->iov_len < size && size <= sizeof padded) {
            struct iovec whole = { padded, size };

            memcpy(padded, given->iov_base, given->iov_len);
            memset(padded + given->iov_len, 0, size - given->iov_len);
            return next(request, pid, addr, &whole);
        }
    }
    return next(request, pid, addr, data);
}

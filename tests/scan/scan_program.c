#include <stdio.h>
#include <stdlib.h>
#include "scan/scan.h"
#include "scan/unit.h"
static const char*base(const char*s){const char*b=strrchr(s,'/');return b?b+1:s;}
static void at(struct scan*s,u32 value){const struct loc*l=&s->program.locs.at[s->program.values.at[value].loc];printf("%s:%u",base(text_of(&s->program,l->file)),l->line);}
int main(int argc,char**argv){ static struct scan s; struct link l; link_begin(&l,&s.program); int verbose=0; char err[400];
 for(int i=1;i<argc;i++){ if(!strcmp(argv[i],"-v")){verbose++;continue;} struct program u={0}; size_t n=strlen(argv[i]); int bad= n>5&&!strcmp(argv[i]+n-5,".unit")?unit_load(&u,argv[i]):unit_read_llvm(&u,argv[i],err,sizeof err); if(bad){fprintf(stderr,"%s: %s\n",argv[i],err);return 2;} link_add(&l,&u); }
 scan_run(&s);
 if(verbose>1) for(u32 i=0;i<s.whole.deeds.n;i++){struct deed*d=&s.whole.deeds.at[i];printf("deed kind %d flags %d path %u must %u may %u live %u joined %u root %u ",d->kind,d->flags,d->path,d->must,d->may,d->live,d->joined,d->root);at(&s,d->value);printf("\n");}
 if(verbose>1) for(u32 i=1;i<s.analysis.ps.at.n;i++){struct path*q=&s.analysis.ps.at.at[i];printf("path %u kind %u base %u a %u off %d el %u type %u cells",i,q->kind,q->base,q->a,q->offset,q->element,q->type); const struct list_u32*c=path_cells(&s.analysis.ps,i); for(u32 k=0;k<c->n&&k<9;k++)printf(" %u(o%u+%u%s)",c->at[k],s.analysis.pt.cells.at[c->at[k]].object,s.analysis.pt.cells.at[c->at[k]].offset,s.analysis.pt.objects.at[s.analysis.pt.cells.at[c->at[k]].object].escapes?" esc":"");printf("\n");}
 if(verbose) fprintf(stderr,"functions %u values %u lines %u objects %u cells %u paths %u sets %u contexts %u deeds %u roots %u | %.2f %.2f %.2f %.2f %.2f %.2f\n",s.program.functions.n,s.program.values.n,s.program.lines,s.analysis.pt.objects.n,s.analysis.pt.cells.n,s.analysis.ps.at.n,s.analysis.sets.head.n,s.whole.contexts.n,s.whole.deeds.n,s.whole.roots.n,s.seconds[0],s.seconds[1],s.seconds[2],s.seconds[3],s.seconds[4],s.seconds[5]);
 static const char*const k[]={"RACE","UNPROTECTED","ATOMICITY","DEADLOCK","MISUSE"};
 for(u32 i=0;i<s.findings.at.n;i++){ struct found*f=&s.findings.at.at[i]; printf("%s %s score %u:",k[f->kind],f->rule?f->rule:"",f->score); for(u32 j=0;j<f->side.n;j++){printf(" ");at(&s,s.whole.deeds.at[f->side.at[j].deed].value);} printf("\n"); if(f->kind<=1) for(u32 j=0;j<f->others.n;j++){printf("  RACELINE ");at(&s,s.whole.deeds.at[f->others.at[j]].value);printf("\n");} if(f->kind==3||f->kind==4) for(u32 j=0;j<f->side.n;j++){printf("  DEADLINE ");at(&s,s.whole.deeds.at[f->side.at[j].deed].value);printf("\n");u32 t=lock_taken_at(&s.whole,f->side.at[j].deed,f->side.at[j].lock);if(t!=NONE){printf("  DEADLINE ");at(&s,s.whole.deeds.at[t].value);printf("\n");}} }
 return 0;}
